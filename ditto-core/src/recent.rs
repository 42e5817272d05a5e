//! What is made from a few public numbers, takes long to make, and is asked for again in every layer: tables, choices of
//! formats.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by what they are made from; of more than `most`, the oldest is forgotten.
pub(crate) struct Recent<K, V> {
    most: usize,
    kept: Mutex<VecDeque<(K, Arc<V>)>>,
}

impl<K: PartialEq, V> Recent<K, V> {
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, kept: Mutex::new(VecDeque::new()) }
    }

    /// The value of `key`, made if it is not there. Who asks meanwhile waits rather than making it again.
    pub(crate) fn get<E>(&self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = kept.iter().find(|(k, _)| *k == key) {
            return Ok(value.clone());
        }
        let value = Arc::new(make(&key)?);
        if kept.len() == self.most {
            kept.pop_front();
        }
        kept.push_back((key, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn values_are_made_once_until_they_are_forgotten() {
        let recent = Recent::new(2);
        let mut made = Vec::new();
        for key in [1, 2, 1, 2, 3, 2, 1, 3] {
            let square = |k: &i32| {
                made.push(*k);
                Ok::<_, Error>(k * k)
            };
            assert_eq!(*recent.get(key, square).expect("is made"), key * key);
        }
        assert_eq!(made, [1, 2, 3, 1]);
    }

    #[test]
    fn what_cannot_be_made_is_not_kept() {
        let recent = Recent::new(2);
        assert!(recent.get(1, |_| Err::<i32, _>(Error::Unsupported("this"))).is_err());
        assert_eq!(*recent.get(1, |_| Ok::<_, Error>(5)).expect("is made"), 5);
    }
}
