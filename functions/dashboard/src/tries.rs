//! Limits how often one address may sign in with a wrong token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The number of wrong tokens allowed at once. After each pause, an address may try once more.
const AT_ONCE: u32 = 10;
const PAUSE: Duration = Duration::from_secs(6);

/// The most addresses that a process remembers. The gateway limits the tries of all addresses
/// together.
const ADDRESSES_MAX: usize = 1000;

/// The wrong tokens of each address that this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Tries(Mutex<HashMap<IpAddr, Instant>>);

impl Tries {
    /// How many seconds an address must wait before it may try; `None` if it may try now.
    pub(crate) fn wait_s(&self, address: IpAddr, now: Instant) -> Option<u64> {
        let spent = self.lock().get(&network(address)).copied()?;
        let over = spent.saturating_duration_since(now) + PAUSE;
        let allowed = PAUSE * AT_ONCE;
        let wait = over.checked_sub(allowed).filter(|it| !it.is_zero())?;
        Some(wait.as_secs() + 1)
    }

    /// Counts a wrong token.
    pub(crate) fn fail(&self, address: IpAddr, now: Instant) {
        let mut spent = self.lock();
        if spent.len() >= ADDRESSES_MAX {
            spent.retain(|_, until| *until > now);
        }
        if spent.len() >= ADDRESSES_MAX {
            let first = spent.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(address, _)| *address);
            first.and_then(|address| spent.remove(&address));
        }
        let until = spent.entry(network(address)).or_insert(now);
        *until = (*until).max(now) + PAUSE;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The holder of one IPv6 address holds the whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(bits.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_wrong_tokens_are_allowed_and_then_one_after_each_pause() {
        let (tries, start) = (Tries::default(), Instant::now());
        for _ in 0..AT_ONCE {
            assert_eq!(tries.wait_s(address("10.0.0.1"), start), None);
            tries.fail(address("10.0.0.1"), start);
        }
        assert_eq!(tries.wait_s(address("10.0.0.1"), start), Some(7));
        assert_eq!(tries.wait_s(address("10.0.0.2"), start), None);
        let later = start + PAUSE;
        assert_eq!(tries.wait_s(address("10.0.0.1"), later), None);
        tries.fail(address("10.0.0.1"), later);
        assert!(tries.wait_s(address("10.0.0.1"), later).is_some());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let (tries, start) = (Tries::default(), Instant::now());
        for number in 0..AT_ONCE {
            tries.fail(address(&format!("2001:db8::{number:x}")), start);
        }
        assert!(tries.wait_s(address("2001:db8::ffff"), start).is_some());
        assert_eq!(tries.wait_s(address("2001:db8:0:1::1"), start), None);
    }

    #[test]
    fn no_more_addresses_are_remembered_than_fit() {
        let (tries, start) = (Tries::default(), Instant::now());
        for number in 0..2 * ADDRESSES_MAX {
            let number = u32::try_from(number).unwrap();
            tries.fail(IpAddr::V4(number.into()), start);
        }
        assert_eq!(tries.lock().len(), ADDRESSES_MAX);
    }
}
