//! Who may log in: the configured account, and those that plugs come with.

use crate::options::Settings;
use crate::secret::Secret;

/// A user name (an e-mail address, case-sensitive) and a password.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) user: Secret,
    pub(super) password: Secret,
}

impl Account {
    fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
        }
    }

    /// From `username` and `password`; `None` when neither is given.
    pub(super) fn from_settings(settings: &Settings) -> Option<Self> {
        let user = settings.secret("username");
        let password = settings.secret("password");
        if user.is_none() && password.is_none() {
            return None;
        }
        Some(Self {
            user: user.unwrap_or_default(),
            password: password.unwrap_or_default(),
        })
    }

    /// What a Tapo plug takes before it belongs to somebody.
    pub(super) fn tapo_default() -> Self {
        Self::new("test@tp-link.net", "test")
    }
}

/// Whose account a plug took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The configured one.
    Given,
    /// One that every plug of the maker comes with, or a blank one.
    Makers,
}

/// Everybody to try where a wrong one costs nothing: the configured account first, then the maker's defaults and a
/// blank one, which plugs take that were never set up, or set up without the maker's cloud.
pub(super) fn everybody(given: Option<&Account>) -> Vec<(Whose, Account)> {
    let makers = [
        Account::new("kasa@tp-link.net", "kasaSetup"),
        Account::tapo_default(),
        Account::new("", ""),
    ];
    given
        .map(|account| (Whose::Given, account.clone()))
        .into_iter()
        .chain(makers.map(|account| (Whose::Makers, account)))
        .collect()
}
