//! A private lookup of 128 tokens in a table of 30522 x 768, by three parties as threads: bytes, time, and how the time
//! divides between keys and products with the table.
//!
//! ```sh
//! cargo run --release -p ditto-benches --example embedding
//! ```

use std::sync::Arc;
use std::time::Instant;

use ditto_core::dpf::{Domain, evaluate_all, generate};
use ditto_core::kernel::{PackedB, matmul_packed};
use ditto_core::mpc::Role;
use ditto_core::net::{Channel, Limits};
use ditto_core::nn::{Engine, Tensor, WeightSource};
use ditto_core::prg::{Prg, Randomness, Seed};
use ditto_core::session::{
    Client, Conversation, Floats, Input, Links, LocalLinks, Manifest, Party, Received, Report, SecureModel,
    Served, Table, input_bytes, request_cost, share_weights,
};
use ditto_core::tensor::{Array, Shape};
use ditto_core::{Ctx, Error, Fx, Result};

const REQUESTS: u64 = 4;
const TOKENS: usize = 128;
const ROWS: usize = 30522;
const COLUMNS: usize = 768;

/// A model that gives back what it has looked up.
struct Rows;

impl SecureModel for Rows {
    type Weights<E: Engine> = ();
    type State<E: Engine> = ();
    type Input = Fx<32, 16>;
    type Output = Fx<32, 16>;
    type Request = ();

    fn description(&self) -> Vec<u8> {
        b"rows".to_vec()
    }
    fn input(&self) -> Input {
        Input::Lookup(vec![Table { name: "words".to_owned(), rows: ROWS, columns: COLUMNS }])
    }
    fn input_shape(&self, (): &()) -> Shape {
        Shape::new(&[TOKENS, COLUMNS])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, _: &S) -> Result<()> {
        Ok(())
    }
    fn forward<E: Engine>(
        &self,
        _: &Ctx<'_, E>,
        (): &(),
        (): &mut (),
        x: &Tensor<E, Self::Input>,
        (): &(),
    ) -> Result<Tensor<E, Self::Output>> {
        Ok(x.clone())
    }
}

/// Numbers that tell row and column.
struct Numbers;

fn number(row: usize, column: usize) -> f32 {
    (row % 251) as f32 / 4.0 - (column % 127) as f32 / 64.0
}

impl Floats for Numbers {
    fn floats(&self, _: &str, _: &[usize]) -> Result<Vec<f32>> {
        Ok((0..ROWS * COLUMNS).map(|i| number(i / COLUMNS, i % COLUMNS)).collect())
    }
}

/// The rows, and what the parties report, of [`REQUESTS`] requests with three parties.
fn answers(ids: &[usize]) -> Result<Vec<(Array<f32>, [Report; 3])>> {
    let (limits, randomness) = (Limits::default(), Randomness::system());
    let links = LocalLinks::new(limits);
    let serve = |role: Role, (links, owner): (Links, Arc<dyn Channel>)| -> Result<()> {
        let party = Party::establish(role, links, limits.time_limit, &randomness)?;
        let weights = Served::new(&Rows, &Received::receive(role, &*owner, &Manifest::of(&Rows)?)?, role)?;
        let serve = |batch| party.serve(&Rows, &weights, &mut Conversation::default(), batch, &());
        (1..=REQUESTS).try_for_each(|batch| serve(batch).map(drop))?;
        party.close()
    };
    std::thread::scope(|scope| {
        let [p0, p1, p2] = links.parties;
        let parties = [(Role::P0, p0), (Role::P1, p1), (Role::P2, p2)]
            .map(|(role, ends)| scope.spawn(move || serve(role, ends)));
        let client = Client::new(links.client);
        share_weights(&links.owner, &Manifest::of(&Rows)?, &Numbers, &randomness, &|_| ())?;
        let answer = |batch| {
            client.ready(batch)?;
            let shape = Rows.input_shape(&());
            let y = client.finish_lookup(&Rows, &(), batch, &[ids.to_vec()], &randomness, &shape)?;
            Ok((y, client.reports(batch)?))
        };
        let answers = (1..=REQUESTS).map(answer).collect::<Result<_>>()?;
        client.close()?;
        for party in parties {
            party.join().map_err(|_| Error::Internal("a party panicked"))??;
        }
        Ok(answers)
    })
}

fn main() -> Result<()> {
    let ids: Vec<usize> = (0..TOKENS).map(|i| i * 7919 % ROWS).collect();
    let cost = request_cost(&Rows, &())?;
    let keys = input_bytes(&Rows, &())?;
    let outputs = 8 * TOKENS * COLUMNS;
    let servers = cost.online - keys - outputs as u64;
    println!("client sends {:.3} MB of keys", keys as f64 / 1e6);
    println!("servers send {:.3} MB in {} hop", servers as f64 / 1e6, cost.hops);

    for (y, reports) in answers(&ids)? {
        let numbers = ids.iter().flat_map(|&id| (0..COLUMNS).map(move |column| number(id, column)));
        let wrong = y.data().iter().zip(numbers).filter(|(y, want)| *y != want).count();
        // The parties are threads of one process, whose processor time each of them reports.
        let busy = reports[0].online_cpu_micros as f64 / 1e6;
        let online = reports.map(|r| r.online_micros as f64 / 1e6);
        println!(
            "online seconds of P0, P1, P2: {online:.3?}, processor seconds {busy:.2}; {wrong} wrong numbers"
        );
    }

    // One of the three parties alone, on all cores.
    let domain = Domain::<u32>::new(ROWS)?;
    let keys = ids.iter().map(|&id| {
        let [key, _] = generate(domain, id, [Seed::fresh(), Seed::fresh()])?;
        Ok(key)
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let mut vectors = vec![0u32; TOKENS * ROWS];
    let table = PackedB::new(32, &Prg::new(&Seed::fresh()).words(0, 0, ROWS * COLUMNS, 32), ROWS, COLUMNS);
    let mut sums = vec![0u32; TOKENS * COLUMNS];
    for _ in 0..4 {
        let begun = Instant::now();
        (0..2).try_for_each(|_| evaluate_all(domain, 32, &keys, &mut vectors))?;
        let expanded = begun.elapsed().as_secs_f64();
        (0..2).for_each(|_| matmul_packed(&vectors, TOKENS, &table, &mut sums));
        let both = begun.elapsed().as_secs_f64();
        println!("one party alone: {expanded:.3} s for keys, {:.3} s for products", both - expanded);
    }
    Ok(())
}
