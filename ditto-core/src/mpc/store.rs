//! Prepared material: what an evaluator's preprocessing leaves for its online phase.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::ring::Word;

/// A vector of words of some width.
#[derive(Debug)]
enum Column {
    U8(Arc<Vec<u8>>),
    U16(Arc<Vec<u16>>),
    U32(Arc<Vec<u32>>),
    U64(Arc<Vec<u64>>),
    U128(Arc<Vec<u128>>),
}

impl Column {
    fn bytes(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len() * 2,
            Self::U32(v) => v.len() * 4,
            Self::U64(v) => v.len() * 8,
            Self::U128(v) => v.len() * 16,
        }
    }
}

/// Words that may be stored; every [`Word`].
pub trait Stored: Word {
    #[doc(hidden)]
    fn put(store: &Store, step: u32, data: Arc<Vec<Self>>) -> Result<()>;
    #[doc(hidden)]
    fn take(store: &Store, step: u32, name: &str) -> Result<Arc<Vec<Self>>>;
}

macro_rules! stored {
    ($($t:ty => $variant:ident),*) => {$(
        impl Stored for $t {
            fn put(store: &Store, step: u32, data: Arc<Vec<Self>>) -> Result<()> {
                store.push(step, Column::$variant(data))
            }
            fn take(store: &Store, step: u32, name: &str) -> Result<Arc<Vec<Self>>> {
                match store.pop(step, name)? {
                    Column::$variant(data) => Ok(data),
                    _ => Err(Error::Preprocessing { step: name.to_owned(), what: "prepared words have another width" }),
                }
            }
        }
    )*};
}
stored!(u8 => U8, u16 => U16, u32 => U32, u64 => U64, u128 => U128);

#[derive(Default)]
struct State {
    columns: HashMap<u32, VecDeque<Column>>,
    bytes: usize,
    /// Set when no more will come: the reason if preprocessing failed.
    ended: Option<Option<Error>>,
    abandoned: bool,
}

/// Prepared material by step.
///
/// Filled by the [`super::Preprocess`] engine and emptied by the [`super::Evaluator`]: either one after the other
/// (everything kept before the request comes) or side by side, the writer waiting while more than `limit` bytes
/// lie unread and the reader while its step is not there yet.
pub struct Store {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
    patience: Duration,
}

impl Store {
    /// A store that holds at most `limit` unread bytes (`usize::MAX`: everything) and whose reader and writer wait at
    /// most `patience` for each other.
    pub fn new(limit: usize, patience: Duration) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limit, patience }
    }

    /// No more will come; waiting readers get `error`.
    pub fn end(&self, error: Option<Error>) {
        self.lock().ended.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Nothing will be read any more; waiting writers stop.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
        self.changed.notify_all();
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, step: u32, column: Column) -> Result<()> {
        let size = column.bytes();
        let full = |s: &mut State| s.bytes > 0 && s.bytes + size > self.limit && !s.abandoned;
        let (mut state, waited) = self
            .changed
            .wait_timeout_while(self.lock(), self.patience, full)
            .unwrap_or_else(PoisonError::into_inner);
        if state.abandoned || waited.timed_out() {
            return Err(Error::Internal("prepared material is no longer being read"));
        }
        state.bytes += size;
        state.columns.entry(step).or_default().push_back(column);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    fn pop(&self, step: u32, name: &str) -> Result<Column> {
        let absent = |s: &mut State| s.columns.get(&step).is_none_or(VecDeque::is_empty) && s.ended.is_none();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), self.patience, absent)
            .unwrap_or_else(PoisonError::into_inner);
        let Some(column) = state.columns.get_mut(&step).and_then(VecDeque::pop_front) else {
            return Err(match &state.ended {
                Some(Some(error)) => error.clone(),
                Some(None) => {
                    Error::Preprocessing { step: name.to_owned(), what: "nothing was prepared for it" }
                }
                None => Error::Preprocessing {
                    step: name.to_owned(),
                    what: "its preprocessing did not come in time",
                },
            });
        };
        state.bytes -= column.bytes();
        drop(state);
        self.changed.notify_all();
        Ok(column)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({} bytes)", self.bytes())
    }
}
