//! The command `portal serve`: the web pages.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tallybox_service::clock::Clock;
use tallybox_service::exit::Exit;
use tallybox_service::operations::Operations;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_service::shutdown;

use crate::demo;
use crate::error::Error;
use crate::web::{Options, Site, router};

/// Serve the web pages
///
/// The pages need no script and make no request to another server. The first line of stdout is the
/// address. SIGTERM and Ctrl-C end the command.
#[derive(Debug, Args)]
pub(super) struct ServeCommand {
    /// Show generated data that looks like a real deployment's. Each page says that it is a
    /// demonstration
    #[arg(long, required = true)]
    demo: bool,
    /// The address to listen on; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// The first line of stdout.
#[derive(Debug, Serialize)]
struct Started {
    url: String,
}

impl Summary for Started {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl ServeCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let cannot_listen = |source| Error::Listen {
            address: self.listen,
            source,
        };
        let server = Operations::bind(self.listen).await.map_err(cannot_listen)?;
        let address = server.address().map_err(cannot_listen)?;
        let stop = shutdown::on_signal();
        options.print(&Started {
            url: format!("http://{address}/"),
        })?;
        let clock = Clock::system();
        let source = Arc::new(demo::generate(clock.millis())?);
        let about = Options {
            name: "Tallybox portal".to_owned(),
            demo: self.demo,
            minimum: demo::MINIMUM,
        };
        server
            .run(router(Site::new(source, clock, about)), stop)
            .await;
        Ok(Exit::Done)
    }
}
