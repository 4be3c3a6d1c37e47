//! An HTTP service that records the responses to create-if-absent requests (see [`LastAnswer`]),
//! and whether the server responds (see [`Contact`]).

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
};

use super::contact::Contact;
use crate::store::answer::LastAnswer;
use tallybox_model::cause::chain;

/// Azure's header with the error code, such as `BlobAlreadyExists`.
const AZURE_CODE: &str = "x-ms-error-code";

/// The HTTP status for too many requests.
const TOO_MANY_REQUESTS: u16 = 429;

/// A connector that connects like `C` and records responses.
#[derive(Debug)]
pub(super) struct Noting<C> {
    connector: C,
    contact: Arc<Contact>,
}

impl<C> Noting<C> {
    /// Records the responses of this bucket's server.
    pub(super) fn new(connector: C, bucket: &str) -> Self {
        Self {
            connector,
            contact: Arc::new(Contact::new(bucket)),
        }
    }
}

impl<C: HttpConnector> HttpConnector for Noting<C> {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(NotingService {
            client: self.connector.connect(options)?,
            contact: Arc::clone(&self.contact),
        }))
    }
}

#[derive(Debug)]
struct NotingService {
    client: HttpClient,
    contact: Arc<Contact>,
}

#[async_trait]
impl HttpService for NotingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let last = request.extensions().get::<LastAnswer>().cloned();
        let answered = self.client.execute(request).await;
        match &answered {
            Ok(response)
                if response.status().is_server_error()
                    || response.status() == TOO_MANY_REQUESTS =>
            {
                self.contact
                    .failed(&format!("status {}", response.status()));
            }
            Ok(_) => self.contact.answered(),
            Err(error) => self.contact.failed(&chain(error)),
        }
        let response = answered?;
        if let Some(last) = last {
            let code = response
                .headers()
                .get(AZURE_CODE)
                .and_then(|code| code.to_str().ok());
            last.note(response.status().as_u16(), code);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests;
