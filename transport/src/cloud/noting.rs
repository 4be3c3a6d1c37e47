//! An HTTP service that notes the answers to create-if-absent requests (see [`LastAnswer`]).

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};

use crate::store::LastAnswer;

/// Azure's header with the error code, such as `BlobAlreadyExists`.
const AZURE_CODE: &str = "x-ms-error-code";

/// Connects as `C` does, and notes answers.
#[derive(Debug, Default)]
pub(super) struct Noting<C>(pub(super) C);

impl<C: HttpConnector> HttpConnector for Noting<C> {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(NotingService(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct NotingService(HttpClient);

#[async_trait]
impl HttpService for NotingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let last = request.extensions().get::<LastAnswer>().cloned();
        let response = self.0.execute(request).await?;
        if let Some(last) = last {
            let code = response.headers().get(AZURE_CODE).and_then(|code| code.to_str().ok());
            last.note(response.status().as_u16(), code);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests;
