//! The safety rules by name, so that tests can break each of them and see that it is missed.

use crate::level::{Level, Standing};

/// Which rules hold. Outside tests all of them do: there is no option that turns one off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A device whose state is unknown is not off.
    pub(crate) unknown_power_is_not_off: bool,
    /// Every device of a level must be off, not just one.
    pub(crate) every_device: bool,
    /// A device of the first level that says on contradicts the fallback's off.
    pub(crate) first_level_contradicts: bool,
    /// A BMC that says on contradicts the first level's off, though it is the fallback.
    pub(crate) bmc_contradicts: bool,
    /// A meter of the first level that shows a load contradicts the fallback's off.
    pub(crate) first_meter_contradicts: bool,
    /// The last look at a device is taken after the window, so that a plug that came back on is seen.
    pub(crate) look_after_window: bool,
    /// A configured meter must read below its threshold.
    pub(crate) meter_must_be_below: bool,
    /// A node without addresses is never confirmed.
    pub(crate) addresses_required: bool,
    /// Every network must be silent, not just one.
    pub(crate) every_network: bool,
    /// Any answer within the window is life.
    pub(crate) answer_is_life: bool,
    /// Answers to address resolution are life too.
    pub(crate) neighbours_are_asked: bool,
    /// An answer is waited for until the window ends, however late it comes.
    pub(crate) late_answers_count: bool,
    /// Nothing is confirmed before the window has passed.
    pub(crate) whole_window: bool,
    /// The shorter window needs meters that were seen above their threshold before.
    pub(crate) baseline_required: bool,
    /// A network probe that failed is unknown.
    pub(crate) failed_probe_is_unknown: bool,
    /// A network probe that never came back is unknown.
    pub(crate) lost_probe_is_unknown: bool,
    /// A probe that a router did not deliver is silence only with a witness behind it.
    pub(crate) unreached_needs_witness: bool,
    /// Silence counts only with a sound path: route, link, own address.
    pub(crate) silence_needs_path: bool,
    /// This host's own address on the network, where it is known, must be there.
    pub(crate) own_address_present: bool,
    /// The path must be sound throughout, not just at first.
    pub(crate) path_throughout: bool,
    /// Silence counts only when the network's witness answered.
    pub(crate) silence_needs_witness: bool,
    /// The witness must answer throughout, not just once.
    pub(crate) witness_throughout: bool,
    /// A witness counts only where it is reached as the node is.
    pub(crate) witness_shares_path: bool,
    /// Answers may have been lost while this host itself stood still.
    pub(crate) observer_awake: bool,
    /// `require_witness` refuses a network without one.
    pub(crate) require_witness: bool,
}

impl Rules {
    /// Whether the "on" of such a device is a sign of life.
    pub(crate) fn on_is_life(self, standing: Standing) -> bool {
        let first = standing.level == Level::First;
        standing.on_is_life() && (self.first_level_contradicts || !first) && (self.bmc_contradicts || first)
    }

    /// All of them.
    pub(crate) const STRICT: Self = Self {
        unknown_power_is_not_off: true,
        every_device: true,
        first_level_contradicts: true,
        bmc_contradicts: true,
        first_meter_contradicts: true,
        look_after_window: true,
        meter_must_be_below: true,
        addresses_required: true,
        every_network: true,
        answer_is_life: true,
        neighbours_are_asked: true,
        late_answers_count: true,
        whole_window: true,
        baseline_required: true,
        failed_probe_is_unknown: true,
        lost_probe_is_unknown: true,
        unreached_needs_witness: true,
        silence_needs_path: true,
        own_address_present: true,
        path_throughout: true,
        silence_needs_witness: true,
        witness_throughout: true,
        witness_shares_path: true,
        observer_awake: true,
        require_witness: true,
    };
}
