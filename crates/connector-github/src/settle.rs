//! When "not there" counts, as all connectors over HTTP decide it: see [`enact_connector_http::settle`].

use enact_connector_http::settle::Settle;
use enact_core::Error;
use enact_core::connector::Cx;
use enact_core::time::Timestamp;

use crate::GitHub;

impl GitHub {
    pub(crate) fn settle(&self) -> Settle {
        Settle::new(self.settle, self.client.timeout)
    }

    /// Looks until something is found, or "not there" counts. Where the call has not so much time, an error says when to
    /// ask again.
    pub(crate) async fn settled<T, F>(
        &self,
        cx: &Cx,
        at: Timestamp,
        look: impl Fn() -> F,
    ) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<Option<T>, Error>>,
    {
        self.settle().settled(cx, at, look).await
    }

    /// The context of what is to be sent for an intent.
    pub(crate) fn in_time(&self, cx: &Cx, at: Timestamp) -> Cx {
        self.settle().in_time(cx, at)
    }
}
