//! The metrics of refused records, by the reason for the refusal.

use dcache::Refusal;
use telemetry::{Metric, metrics};

/// Returns the metric of refused records of other nodes.
pub(crate) fn of_others(reason: Refusal) -> &'static Metric {
    match reason {
        Refusal::NotOwner => &metrics::BRAIN_RECORDS_REFUSED_NOT_OWNER,
        Refusal::Powerless => &metrics::BRAIN_RECORDS_REFUSED_POWERLESS,
        Refusal::Expired => &metrics::BRAIN_RECORDS_REFUSED_EXPIRED,
        Refusal::Lifetime => &metrics::BRAIN_RECORDS_REFUSED_LIFETIME,
        Refusal::Ahead => &metrics::BRAIN_RECORDS_REFUSED_AHEAD,
        Refusal::Quota => &metrics::BRAIN_RECORDS_REFUSED_QUOTA,
        Refusal::Crowded => &metrics::BRAIN_RECORDS_REFUSED_CROWDED,
        Refusal::Denied => &metrics::BRAIN_RECORDS_REFUSED_DENIED,
        Refusal::Forged => &metrics::BRAIN_RECORDS_REFUSED_FORGED,
    }
}

/// Returns the metric of this node's own records that its set refused.
pub(crate) fn of_own(reason: Refusal) -> &'static Metric {
    match reason {
        Refusal::NotOwner => &metrics::BRAIN_OWN_RECORDS_REFUSED_NOT_OWNER,
        Refusal::Powerless => &metrics::BRAIN_OWN_RECORDS_REFUSED_POWERLESS,
        Refusal::Expired => &metrics::BRAIN_OWN_RECORDS_REFUSED_EXPIRED,
        Refusal::Lifetime => &metrics::BRAIN_OWN_RECORDS_REFUSED_LIFETIME,
        Refusal::Ahead => &metrics::BRAIN_OWN_RECORDS_REFUSED_AHEAD,
        Refusal::Quota => &metrics::BRAIN_OWN_RECORDS_REFUSED_QUOTA,
        Refusal::Crowded => &metrics::BRAIN_OWN_RECORDS_REFUSED_CROWDED,
        Refusal::Denied => &metrics::BRAIN_OWN_RECORDS_REFUSED_DENIED,
        Refusal::Forged => &metrics::BRAIN_OWN_RECORDS_REFUSED_FORGED,
    }
}
