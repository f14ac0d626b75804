//! Which sequence numbers of the BMC have been seen.

/// How many numbers behind the highest are still taken once each. The specification asks for 16 (IPMI 2.0,
/// section 6.12.13); networks reorder more. Fewer than the 63 requests after which a request's number comes again: by
/// then, each of those in between was answered, so that an answer to the first one is too old.
const BEHIND: u32 = 32;

/// A sliding window: each number counts once, and none that is too old.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    highest: u32,
    /// Bit n stands for `highest - n`.
    seen: u64,
}

impl Window {
    /// Notes a number from an authenticated packet; false when the packet is a replay, or too old to tell.
    pub(crate) fn admit(&mut self, sequence: u32) -> bool {
        if sequence == 0 {
            return false;
        }
        if sequence > self.highest {
            let ahead = sequence - self.highest;
            self.seen = if ahead < BEHIND { self.seen << ahead } else { 0 } | 1;
            self.highest = sequence;
            return true;
        }
        let behind = self.highest - sequence;
        if behind >= BEHIND || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_counts_once_in_any_order() {
        let mut window = Window::default();
        assert!(window.admit(3) && window.admit(1) && window.admit(2));
        assert!(!window.admit(1) && !window.admit(3) && !window.admit(0));
        assert!(window.admit(200) && !window.admit(168) && window.admit(169));
        assert!(window.admit(u32::MAX) && !window.admit(u32::MAX) && window.admit(u32::MAX - 31));
    }

    proptest! {
        #[test]
        fn nothing_is_admitted_twice(numbers in prop::collection::vec(0u32..200, 0..400)) {
            let mut window = Window::default();
            let mut admitted = HashSet::new();
            for number in numbers {
                if window.admit(number) {
                    prop_assert!(admitted.insert(number));
                }
            }
        }
    }
}
