//! Files that are reloaded when they change: the registry and the certificates.

use std::sync::Arc;
use std::time::Duration;

use tallybox_model::cause::chain;
use tallybox_service::shutdown::Reload;
use tokio::time::{MissedTickBehavior, interval};

use super::App;
use super::tls::Certificates;

/// Interval between checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// Reloads the registry every few seconds, and at once on SIGHUP.
pub(super) async fn registry(app: Arc<App>) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hangup = Reload::on_hangup();
    let mut last_error = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = hangup.asked() => {
                last_error = None;
                tracing::info!("SIGHUP received; the registry is reloaded");
            }
        }
        let reloading = Arc::clone(&app);
        let outcome = tokio::task::spawn_blocking(move || reloading.reload_registry()).await;
        match outcome {
            Ok(Ok(_)) | Err(_) => last_error = None,
            Ok(Err(error)) => {
                // The same failure is logged only once, although each check repeats it.
                let text = error.to_string();
                if last_error.as_ref() != Some(&text) {
                    app.metrics.registry_failures.inc();
                    let error = chain(&error);
                    tracing::error!(
                        error,
                        "registry cannot be reloaded; the old one stays in force"
                    );
                    last_error = Some(text);
                }
            }
        }
    }
}

/// Reloads the certificates when their files change.
pub(super) async fn certificates(app: Arc<App>, certificates: Certificates) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut loaded = certificates.stamp();
    loop {
        ticks.tick().await;
        let now = certificates.stamp();
        if now == loaded {
            continue;
        }
        match certificates.reload().await {
            Ok(()) => {
                loaded = now;
                tracing::info!("certificates reloaded");
            }
            // Certificate and key are rarely replaced at the same moment: the next check may find a
            // matching pair.
            Err(error) => {
                app.metrics.certificate_failures.inc();
                let error = chain(&error);
                tracing::error!(
                    error,
                    "certificates cannot be reloaded; the old ones stay in force"
                );
            }
        }
    }
}
