//! Signals: the one that ends a program, and the one that makes it read its files again.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The token that SIGTERM, or Ctrl-C, cancels. Needs a running runtime, and stays with the process: from now on neither
/// signal ends the program by itself.
#[must_use]
pub fn on_signal() -> CancellationToken {
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    // Listening begins before this returns, so that no signal of the time between ends the process.
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

/// Waits for a signal; for ever if it cannot be listened to.
#[cfg(unix)]
async fn received(signal: Option<tokio::signal::unix::Signal>) {
    if let Some(mut signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Whether somebody asks for files to be read again: by SIGHUP, or by what a test has in hand.
#[derive(Clone, Debug)]
pub struct Reload(watch::Receiver<u64>);

/// The other end of a [`Reload`]: asks.
#[derive(Clone, Debug)]
pub struct ReloadSender(watch::Sender<u64>);

impl Reload {
    /// One that SIGHUP asks by. Needs a running runtime; from now on SIGHUP does not end the program.
    #[must_use]
    pub fn on_hangup() -> Self {
        let (sender, reload) = Self::channel();
        #[cfg(unix)]
        if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
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

    /// One that its sender asks by.
    #[must_use]
    pub fn channel() -> (ReloadSender, Self) {
        let (sender, receiver) = watch::channel(0);
        (ReloadSender(sender), Self(receiver))
    }

    /// Waits until somebody asks; several askings at once are one. For ever if nobody can ask any more.
    pub async fn asked(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl ReloadSender {
    /// Asks.
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
        assert!(timeout(Duration::from_millis(1), reload.asked()).await.is_err());
        drop(sender);
        assert!(timeout(Duration::from_millis(1), other.asked()).await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_cancelled_without_a_signal() {
        let token = on_signal();
        assert!(timeout(Duration::from_millis(1), token.cancelled()).await.is_err());
    }
}
