//! Messages that have arrived and wait to be received.

use std::collections::HashMap;

use super::address::{Address, Message};
use super::error::NetErrorKind;
use super::frame::HEADER_BYTES;
use super::seen::Seen;

/// A message that has arrived.
pub(crate) struct Arrived {
    pub(crate) message: Message,
    /// Whether receiving it returns credit.
    pub(crate) credited: bool,
}

/// What the queue knows of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lookup {
    /// Its message is here and has this length.
    Here(u64),
    /// Its message is still to come.
    ToCome,
    /// Its message has been taken.
    Taken,
}

/// The queue: one place per address, with a bound on the bytes in all of them.
pub(crate) struct Queue {
    /// `None` holds the place of a message whose payload is still being read.
    places: HashMap<Address, Option<Arrived>>,
    seen: Seen,
    bytes: u64,
    limit: u64,
}

impl Queue {
    pub(crate) fn new(limit: u64) -> Self {
        Self { places: HashMap::new(), seen: Seen::new(), bytes: 0, limit }
    }

    /// What is known of `address`.
    pub(crate) fn look_up(&self, address: Address) -> Lookup {
        match self.places.get(&address) {
            Some(Some(arrived)) => Lookup::Here(arrived.message.payload.len() as u64),
            Some(None) => Lookup::ToCome,
            None if self.seen.contains(address) => Lookup::Taken,
            None => Lookup::ToCome,
        }
    }

    /// Sets a place aside for a message of `length` bytes, before memory is set aside for its payload.
    pub(crate) fn admit(&mut self, address: Address, length: u64) -> Result<(), NetErrorKind> {
        let bytes = self.bytes.saturating_add(cost(length));
        if bytes > self.limit {
            return Err(NetErrorKind::TooLarge { limit: self.limit, got: bytes });
        }
        self.seen.insert(address)?;
        self.bytes = bytes;
        self.places.insert(address, None);
        Ok(())
    }

    /// Puts an admitted message into its place.
    pub(crate) fn put(&mut self, arrived: Arrived) {
        self.places.insert(arrived.message.address, Some(arrived));
    }

    /// Takes the message at `address` when it is here.
    pub(crate) fn take(&mut self, address: Address) -> Option<Arrived> {
        let arrived = self.places.get_mut(&address)?.take()?;
        self.places.remove(&address);
        self.bytes = self.bytes.saturating_sub(cost(arrived.message.payload.len() as u64));
        Some(arrived)
    }

    /// Gives an admitted place free without a message in it.
    pub(crate) fn discard(&mut self, address: Address, length: u64) {
        if self.places.remove(&address).is_some() {
            self.bytes = self.bytes.saturating_sub(cost(length));
        }
    }

    /// Gives the payloads of a batch free. Places of messages that are still being read stay.
    pub(crate) fn drop_batch(&mut self, batch: u64) {
        let bytes = &mut self.bytes;
        self.places.retain(|address, place| match place {
            Some(arrived) if address.batch == batch => {
                *bytes = bytes.saturating_sub(cost(arrived.message.payload.len() as u64));
                false
            }
            _ => true,
        });
    }

    /// Gives all payloads free; used when the channel has failed.
    pub(crate) fn clear(&mut self) {
        self.places = HashMap::new();
        self.bytes = 0;
    }
}

/// What a message counts towards the bound.
fn cost(length: u64) -> u64 {
    length.saturating_add(HEADER_BYTES as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn arrived(address: Address, length: usize) -> Arrived {
        Arrived { message: Message::new(address, 0, vec![0; length]), credited: false }
    }

    #[test]
    fn an_address_goes_through_its_states() {
        let mut queue = Queue::new(1000);
        let address = Address::new(0, 1, 2);
        assert_eq!(queue.look_up(address), Lookup::ToCome);
        queue.admit(address, 5).unwrap();
        assert_eq!(queue.look_up(address), Lookup::ToCome);
        assert!(queue.take(address).is_none());
        queue.put(arrived(address, 5));
        assert_eq!(queue.look_up(address), Lookup::Here(5));
        assert!(queue.take(address).is_some());
        assert_eq!(queue.look_up(address), Lookup::Taken);
        assert_eq!(queue.admit(address, 5), Err(NetErrorKind::Duplicate));
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn a_batch_goes_as_a_whole() {
        let mut queue = Queue::new(1000);
        let [gone, read, other] = [Address::new(1, 0, 0), Address::new(1, 0, 1), Address::new(2, 0, 0)];
        for address in [gone, read, other] {
            queue.admit(address, 5).unwrap();
        }
        queue.put(arrived(gone, 5));
        queue.put(arrived(other, 5));
        queue.drop_batch(1);
        assert_eq!((queue.look_up(gone), queue.look_up(other)), (Lookup::Taken, Lookup::Here(5)));
        queue.discard(read, 5);
        queue.take(other).unwrap();
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn bytes_are_bounded_also_for_empty_messages() {
        let mut queue = Queue::new(3 * HEADER_BYTES as u64);
        for seq in 0..3 {
            queue.admit(Address::new(0, 0, seq), 0).unwrap();
        }
        let error = queue.admit(Address::new(0, 0, 3), 0).unwrap_err();
        assert_eq!(error, NetErrorKind::TooLarge { limit: 120, got: 160 });
        queue.put(arrived(Address::new(0, 0, 1), 0));
        queue.take(Address::new(0, 0, 1)).unwrap();
        queue.admit(Address::new(0, 0, 3), 0).unwrap();
        assert!(queue.admit(Address::new(0, 0, 4), u64::MAX).is_err());
    }
}
