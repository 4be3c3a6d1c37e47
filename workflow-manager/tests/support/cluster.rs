//! A minimal Kubernetes API server: Jobs, Leases and one Deployment, with the rules of a real one
//! for names, versions, labels and pages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    missing_docs,
    unreachable_pub
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// Objects per page, whatever limit a client requests.
const PAGE: usize = 3;

#[derive(Clone, Default)]
pub struct Cluster(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    requests: Vec<String>,
    /// True if the connection breaks after the next write has taken effect.
    breaks: bool,
}

impl Cluster {
    pub fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let query = parts.uri.query().unwrap_or_default().to_owned();
                cluster.answer(&parts.method, parts.uri.path(), &query, &body)
            }
        });
        Client::new(service, "us-ca")
    }

    pub fn break_next(&self) {
        self.0.lock().unwrap().breaks = true;
    }

    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        let objects = state.objects.iter().filter(|(path, _)| path.contains(kind));
        objects.map(|(_, object)| object.clone()).collect()
    }

    pub fn put(&self, path: &str, object: Value) {
        self.0
            .lock()
            .unwrap()
            .objects
            .insert(path.to_owned(), object);
    }

    /// Marks every Job as finished.
    pub fn finish_jobs(&self) {
        let mut state = self.0.lock().unwrap();
        for (path, object) in &mut state.objects {
            if path.contains("/jobs/") {
                object["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
            }
        }
    }

    /// Returns `METHOD path` of all requests since the last call.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: &Bytes,
    ) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let mut state = self.0.lock().unwrap();
        state.requests.push(format!("{method} {path}"));
        let (code, value) = state.handle(method, path, query, body);
        if method != Method::GET && std::mem::take(&mut state.breaks) {
            return Err(std::io::Error::other("the connection broke"));
        }
        let body = Full::new(Bytes::from(serde_json::to_vec(&value).unwrap()));
        Ok(Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(body)
            .unwrap())
    }
}

impl State {
    fn handle(&mut self, method: &Method, path: &str, query: &str, body: &Bytes) -> (u16, Value) {
        match *method {
            Method::POST => {
                let object: Value = serde_json::from_slice(body).unwrap();
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                let key = format!("{path}/{name}");
                if self.objects.contains_key(&key) {
                    return (409, status(409, "AlreadyExists"));
                }
                (201, self.write(key, object))
            }
            Method::PUT => {
                let object: Value = serde_json::from_slice(body).unwrap();
                match self.objects.get(path) {
                    None => (404, status(404, "NotFound")),
                    Some(old)
                        if object["metadata"]["resourceVersion"]
                            != old["metadata"]["resourceVersion"] =>
                    {
                        (409, status(409, "Conflict"))
                    }
                    Some(_) => (200, self.write(path.to_owned(), object)),
                }
            }
            _ => match self.objects.get(path) {
                Some(object) => (200, object.clone()),
                None if path.ends_with("/jobs") => (200, self.list(path, query)),
                None => (404, status(404, "NotFound")),
            },
        }
    }

    fn write(&mut self, key: String, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(key, object.clone());
        object
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let pairs: BTreeMap<&str, &str> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let selector = pairs["labelSelector"]
            .replace("%2F", "/")
            .replace("%3D", "=");
        let (label, wanted) = selector.split_once('=').unwrap();
        let start = pairs.get("continue").copied().unwrap_or_default();
        let fits = |object: &Value| object["metadata"]["labels"][label] == wanted;
        let all: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(key, object)| key.starts_with(&format!("{path}/")) && fits(object))
            .map(|(_, object)| object)
            .collect();
        let start: usize = start.parse().unwrap_or(0);
        let items: Vec<&Value> = all.iter().skip(start).take(PAGE).copied().collect();
        let next = start + items.len();
        let token = if next < all.len() {
            next.to_string()
        } else {
            String::new()
        };
        json!({"kind": "JobList", "apiVersion": "batch/v1", "metadata": {"continue": token}, "items": items})
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason,
        "reason": reason, "code": code})
}
