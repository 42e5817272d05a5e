//! What a request will cost, from sizes alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use ditto_core::Error;
use ditto_core::cost::{Cost, Machine, PhaseSeconds, Work};
use ditto_core::ctx::StepTable;
use ditto_core::net::Link;
use ditto_core::session::{Operation, SecureModel, next_operations, next_program};

use crate::model::{ModelSpec, Request, Visit};

/// A request's operations, and how long a party takes to read the program.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Every step in program order; the client's input and output come first and last.
    pub operations: Vec<Operation>,
    /// Sum of all, with hops along the longest chain.
    pub cost: Cost,
    /// Of what the helper deals, the bytes to P0 and to P1.
    pub dealt: [u64; 2],
    /// All steps of the program, those that only hold others included: what a party's trace counts.
    pub steps: Arc<StepTable>,
    /// Seconds that this process took to read the program again.
    pub reading: f64,
    /// Whether the request continues a text.
    pub continues: bool,
}

impl Estimate {
    /// Reads a model for the shapes of one request, and of a request for the tokens before it if it continues a text; no
    /// weights are needed.
    pub fn new(model: &ModelSpec, request: &Request) -> Result<Self, Error> {
        struct Read<'a>(&'a Request);
        impl Visit for Read<'_> {
            type Out = Result<Estimate, Error>;
            fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
                let before = || {
                    let mut state = M::State::default();
                    let past = Request { tokens: vec![self.0.past], past: 0, ..self.0.clone() };
                    if self.0.past > 0 {
                        next_program(model, &mut state, &past)?;
                    }
                    Ok::<_, Error>(state)
                };
                let (mut state, mut again) = (before()?, before()?);
                let (operations, cost) = next_operations(model, &mut state, self.0)?;
                let started = Instant::now();
                let (program, ..) = next_program(model, &mut again, self.0)?;
                let reading = started.elapsed().as_secs_f64();
                let (dealt, steps) = (program.dealt(), program.steps);
                Ok(Estimate { operations, cost, dealt, steps, reading, continues: self.0.past > 0 })
            }
        }
        model.with_model(Read(request))
    }

    /// What all steps compute.
    pub fn work(&self) -> Work {
        self.operations.iter().map(|o| o.work).sum()
    }

    /// Predicted time with all parties on `machine`, and what `link` between them would add. A request that does not
    /// continue a text is taken for the first of their processes.
    pub fn seconds(&self, machine: &Machine, link: &Link) -> PhaseSeconds {
        let work = self.work();
        let once = if self.continues { PhaseSeconds::default() } else { machine.first(&work) };
        once + machine.predict(&work, self.operations.len(), self.cost.hops, self.reading)
            + PhaseSeconds::on(link, &self.cost)
    }

    /// The same in all where preprocessing runs beside the online phase.
    pub fn overlapped(&self, machine: &Machine, link: &Link) -> f64 {
        let work = self.work();
        let once = if self.continues { 0.0 } else { machine.first(&work).total() };
        once + machine.predict_overlapped(&work, self.operations.len(), &self.cost, self.reading, link)
    }
}

/// Operations that have the same name in every pass of a loop, together.
#[derive(Clone, Debug)]
pub struct Row {
    /// The common name: paths of steps, passes of a loop written as `*`, up to some depth.
    pub name: String,
    /// How many passes of loops it stands for.
    pub times: usize,
    /// Sum of what they send.
    pub cost: Cost,
    /// Sum of what they compute.
    pub work: Work,
}

impl Estimate {
    /// The operations summed over loops, and cut at the largest depth that leaves at most `most` rows.
    pub fn rows(&self, most: usize) -> Vec<Row> {
        let paths = common_names(self.operations.iter().map(|o| o.step.as_str()));
        let depth = paths.iter().map(Vec::len).max().unwrap_or_default();
        let at = |depth| self.rows_at(&paths, depth);
        (1..=depth).map(at).take_while(|rows| rows.len() <= most).last().unwrap_or_else(|| at(1))
    }

    fn rows_at(&self, paths: &[Vec<(String, Option<usize>)>], depth: usize) -> Vec<Row> {
        let (mut rows, mut places): (Vec<Row>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
        let mut passes: Vec<BTreeSet<Vec<usize>>> = Vec::new();
        for (operation, path) in self.operations.iter().zip(paths) {
            let path = &path[..depth.min(path.len())];
            let name = path.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("/");
            let at = *places.entry(name.clone()).or_insert_with(|| {
                rows.push(Row { name, times: 0, cost: Cost::default(), work: Work::default() });
                passes.push(BTreeSet::new());
                rows.len() - 1
            });
            passes[at].insert(path.iter().filter_map(|(_, pass)| *pass).collect());
            rows[at].cost += operation.cost;
            rows[at].work += operation.work;
        }
        rows.iter_mut().zip(passes).for_each(|(row, passes)| row.times = passes.len());
        rows
    }
}

/// Paths of steps as components; those of passes of a loop (`layer.0`, `layer.1`, ..) get a common name and keep their
/// number. Numbers that do not start at 0 tell repeated steps apart and stay.
fn common_names<'a>(steps: impl Iterator<Item = &'a str> + Clone) -> Vec<Vec<(String, Option<usize>)>> {
    let loops: BTreeSet<&str> = steps
        .clone()
        .flat_map(|step| step.match_indices('/').map(|(end, _)| &step[..end]).chain([step]))
        .filter_map(|prefix| prefix.strip_suffix(".0"))
        .collect();
    let components = |step: &'a str| {
        let mut start = 0;
        let mut components = Vec::new();
        for component in step.split('/') {
            let end = start + component.len();
            let pass = component.rsplit_once('.').and_then(|(base, number)| {
                let number = number.parse::<usize>().ok()?;
                loops.contains(&step[..start + base.len()]).then(|| (format!("{base}.*"), Some(number)))
            });
            components.push(pass.unwrap_or_else(|| (component.to_owned(), None)));
            start = end + 1;
        }
        components
    };
    steps.map(components).collect()
}

#[cfg(test)]
mod tests {
    use super::common_names;

    #[test]
    fn passes_of_loops_have_a_common_name() {
        let steps = ["norm", "layer.0/linear", "layer.0/linear.2", "layer.1/linear", "layer.1/x.0"];
        let names: Vec<String> = common_names(steps.into_iter())
            .iter()
            .map(|path| path.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("/"))
            .collect();
        assert_eq!(names, ["norm", "layer.*/linear", "layer.*/linear.2", "layer.*/linear", "layer.*/x.*"]);
    }
}
