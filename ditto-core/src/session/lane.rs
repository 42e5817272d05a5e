//! A lane: requests that a party serves one after the other, beside those of other lanes.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel, sync_channel};

use super::SecureModel;
use super::party::{Party, Served};
use super::report::Report;
use super::request::Opened;
use crate::error::{Error, Result};

/// What a client asks of a lane.
pub enum Turn<R> {
    /// A request that begins a conversation, or stands alone.
    Begin(R),
    /// A request that goes on where the one before it in the lane has ended.
    Continue(R),
    /// One that cannot be served, and why. Only this request ends.
    Refuse(String),
    /// Nothing more.
    End,
}

/// How a lane is served.
pub struct Lane<'a, A> {
    /// Batches of its requests, in order.
    pub batches: &'a mut (dyn Iterator<Item = u64> + Send),
    /// Waits for what the client asks in a batch.
    pub asked: A,
    /// Whether the client asks a request when the one before is prepared, and not when it is answered: then the
    /// preprocessing of the one runs beside the online phase of the other.
    pub ahead: bool,
    /// The text that tells others of an error.
    pub explain: fn(&Error) -> String,
}

/// A request on its way from preprocessing to the online phase.
struct Handed<M: SecureModel> {
    opened: Arc<Opened<M>>,
    /// Number of its conversation in the lane.
    conversation: u64,
    begins: bool,
    /// What came of its preprocessing, once it is over.
    prepared: Receiver<Result<Report>>,
}

/// Why a request is refused whose predecessor failed.
const BROKEN: &str = "a request before it in its conversation has failed";

impl Party {
    /// Serves the requests of a lane until the client ends it. Several lanes may run on threads of their own.
    ///
    /// A request that fails is given up, and the lane goes on with the next; what continues its conversation is refused.
    /// Only what ends the session ends the lane with an error.
    pub fn serve_lane<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        lane: Lane<'_, impl FnMut(u64) -> Result<Turn<M::Request>>>,
    ) -> Result<()> {
        let Lane { batches, mut asked, ahead, explain } = lane;
        // The last conversation in which a request failed; they count from 1.
        let broken = &AtomicU64::new(0);
        let fail = &|batch: u64, conversation: u64, error: Error| {
            broken.fetch_max(conversation, Ordering::Relaxed);
            if self.failure().is_some() {
                // The session has ended. Nothing that waits in this or another lane waits on.
                self.abort(&explain(&error));
                return Err(error);
            }
            self.abandon(batch, &explain(&error));
            Ok(())
        };
        // Prepared material of limited size is prepared beside its use, so what is handed over takes little.
        let (hand, handed) = sync_channel::<Handed<M>>(usize::from(self.ahead.is_some()));
        let (tell, told) = channel();
        let answer = move || -> Result<()> {
            let mut state = M::State::default();
            for Handed { opened, conversation, begins, prepared } in handed {
                let batch = opened.batch();
                if begins {
                    state = M::State::default();
                }
                if broken.load(Ordering::Relaxed) == conversation {
                    self.abandon(batch, BROKEN);
                } else {
                    let answered = self.answer(model, weights, &mut state, &opened);
                    let prepared =
                        prepared.recv().unwrap_or(Err(Error::Internal("preprocessing ended early")));
                    // If preprocessing failed, the online phase failed for want of it.
                    let both = answered.and_then(|answered| self.together(prepared?, answered));
                    if let Err(error) = both.and_then(|report| self.report(batch, report)) {
                        fail(batch, conversation, error)?;
                    }
                }
                // Who does not wait for answers is not there.
                let _ = tell.send(());
            }
            Ok(())
        };
        let (mut meter, mut state) = (M::State::default(), M::State::default());
        let conversation = &Cell::new(0);
        // Takes a request up to its online phase; false when no more are to come.
        let mut next = move |batch: u64| -> Result<bool> {
            let (request, begins) = match asked(batch)? {
                Turn::Begin(request) => (request, true),
                Turn::Continue(request) => (request, false),
                Turn::Refuse(why) => {
                    broken.fetch_max(conversation.get(), Ordering::Relaxed);
                    self.abandon(batch, &why);
                    return Ok(true);
                }
                Turn::End => return Ok(false),
            };
            if begins {
                (meter, state) = (M::State::default(), M::State::default());
                conversation.set(conversation.get() + 1);
            } else if broken.load(Ordering::Relaxed) == conversation.get() {
                self.abandon(batch, BROKEN);
                return Ok(true);
            }
            let opened = Arc::new(self.open(model, &mut meter, batch, request)?);
            let (done, prepared) = channel();
            let handed =
                Handed { opened: opened.clone(), conversation: conversation.get(), begins, prepared };
            let taken = if self.ahead.is_some() {
                self.tell_ready(batch)?;
                let taken = hand.send(handed).is_ok();
                // The other thread gives the request up if this fails; it is gone if it has ended the session.
                let _ = done.send(self.prepare(model, weights, &mut state, &opened));
                taken
            } else {
                let prepared = self.prepare(model, weights, &mut state, &opened)?;
                self.tell_ready(batch)?;
                done.send(Ok(prepared)).is_ok() && hand.send(handed).is_ok()
            };
            Ok(taken && (ahead || told.recv().is_ok()))
        };
        let prepare = move || -> Result<()> {
            for batch in batches {
                match next(batch) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => fail(batch, conversation.get(), error)?,
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let answers = scope.spawn(answer);
            // When it ends no more are handed over, which ends the other thread.
            let prepared = prepare();
            answers.join().map_err(|_| Error::Internal("an online phase panicked"))??;
            prepared
        })
    }
}
