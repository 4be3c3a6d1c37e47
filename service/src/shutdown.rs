//! Signals: SIGTERM and Ctrl-C stop a program, SIGHUP makes it read its files again.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Returns a token that SIGTERM or Ctrl-C cancels.
///
/// The call needs a running runtime. From then on, neither signal terminates the process directly.
#[must_use]
pub fn on_signal() -> CancellationToken {
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    // The handlers are installed before this function returns, so that an early signal does not
    // terminate the process.
    #[cfg(unix)]
    let terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    #[cfg(unix)]
    let interrupted = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    tokio::spawn(async move {
        #[cfg(unix)]
        tokio::select! {
            () = received(terminated.ok()) => {}
            () = received(interrupted.ok()) => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        token.cancel();
    });
    shutdown
}

/// Waits for a signal; forever if the handler could not be installed.
#[cfg(unix)]
async fn received(signal: Option<tokio::signal::unix::Signal>) {
    if let Some(mut signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Requests to read files again, from SIGHUP or from a [`ReloadSender`].
#[derive(Clone, Debug)]
pub struct Reload(watch::Receiver<u64>);

/// The sending side of a [`Reload`].
#[derive(Clone, Debug)]
pub struct ReloadSender(watch::Sender<u64>);

impl Reload {
    /// Returns a receiver of requests by SIGHUP. The call needs a running runtime. From then on,
    /// SIGHUP does not terminate the process.
    #[must_use]
    pub fn on_hangup() -> Self {
        let (sender, reload) = Self::channel();
        #[cfg(unix)]
        if let Ok(mut signal) =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
        {
            tokio::spawn(async move {
                while signal.recv().await.is_some() && !sender.0.is_closed() {
                    sender.ask();
                }
            });
        }
        #[cfg(not(unix))]
        drop(sender);
        reload
    }

    /// Creates a connected sender and receiver.
    #[must_use]
    pub fn channel() -> (ReloadSender, Self) {
        let (sender, receiver) = watch::channel(0);
        (ReloadSender(sender), Self(receiver))
    }

    /// Waits for a request; several requests since the last call count as one. Waits forever if all
    /// senders are gone.
    pub async fn asked(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl ReloadSender {
    /// Requests a reload.
    pub fn ask(&self) {
        self.0.send_modify(|times| *times += 1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn each_listener_hears_that_somebody_asks_and_none_twice() {
        let (sender, mut reload) = Reload::channel();
        let mut other = reload.clone();
        sender.ask();
        sender.ask();
        reload.asked().await;
        other.asked().await;
        assert!(
            timeout(Duration::from_millis(1), reload.asked())
                .await
                .is_err()
        );
        drop(sender);
        assert!(
            timeout(Duration::from_millis(1), other.asked())
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn nothing_is_cancelled_without_a_signal() {
        let token = on_signal();
        assert!(
            timeout(Duration::from_millis(1), token.cancelled())
                .await
                .is_err()
        );
    }
}
