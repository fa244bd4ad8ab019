//! The hub's protocol over HTTP: what a file is, its bytes, a repository's list.
//!
//! `hf-hub` has one too, but sends the token wherever a server redirects to, and waits for a silent server as long as
//! that is silent. Here redirects are followed by hand: the token goes to the endpoint's own origin only.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use ureq::http::Response;
use ureq::http::header::{AUTHORIZATION, CONTENT_RANGE, LOCATION, RANGE};
use ureq::{Agent, Body};
use url::Url;

/// How long a server may say nothing.
pub const SILENCE: Duration = Duration::from_secs(20);
const MOST_REDIRECTS: usize = 10;
/// Largest list of a repository's files, in bytes.
const LARGEST_LIST: u64 = 64 << 20;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with this status.
    #[error("the server answered {0}")]
    Status(u16),
    /// The server broke the protocol.
    #[error("{0}")]
    Protocol(String),
    /// The transfer failed.
    #[error(transparent)]
    Http(#[from] ureq::Error),
    /// The transfer ended early, or the disk is full.
    #[error("the transfer stopped: {0}")]
    Transfer(#[source] std::io::Error),
    /// The file in the cache cannot be written.
    #[error("cannot write to the cache: {0}")]
    Write(#[source] std::io::Error),
}

/// What the server says of a file.
pub struct Announced {
    /// The commit that the revision stands for.
    pub commit: String,
    /// Names the content; the SHA-256 of large files.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

#[derive(Deserialize)]
struct Listing {
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// A server that speaks the hub's protocol.
pub struct Client {
    agent: Agent,
    endpoint: Url,
    token: Option<String>,
}

impl Client {
    /// A client of `endpoint`; `token` is sent to no other. A server may say nothing for `silence`.
    pub fn new(endpoint: &str, token: Option<String>, silence: Duration) -> Result<Self, ClientError> {
        let bad = |e: url::ParseError| ClientError::Protocol(format!("`{endpoint}` is no address: {e}"));
        let endpoint = Url::parse(endpoint).map_err(bad)?;
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_resolve(Some(silence))
            .timeout_connect(Some(silence))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence));
        Ok(Self { agent: config.build().into(), endpoint, token })
    }

    /// The endpoint's address of `parts`, each escaped.
    fn address<'a>(&self, parts: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Asks for `url` and follows redirects; `each` sees the headers of every answer of the endpoint itself.
    fn get(
        &self,
        mut url: Url,
        range: Option<&str>,
        mut each: impl FnMut(&Response<Body>),
    ) -> Result<Response<Body>, ClientError> {
        for _ in 0..MOST_REDIRECTS {
            let mut request = self.agent.get(url.as_str());
            let own = url.origin() == self.endpoint.origin();
            if let Some(token) = self.token.as_deref().filter(|_| own) {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(range) = range {
                request = request.header(RANGE, range);
            }
            let response = request.call()?;
            if own {
                each(&response);
            }
            if !response.status().is_redirection() {
                let status = response.status();
                return if status.is_success() {
                    Ok(response)
                } else {
                    Err(ClientError::Status(status.as_u16()))
                };
            }
            let to = header(&response, LOCATION.as_str())
                .ok_or_else(|| ClientError::Protocol("the server redirects to nowhere".to_owned()))?;
            url = url.join(&to).map_err(|e| ClientError::Protocol(format!("a redirect to `{to}`: {e}")))?;
        }
        Err(ClientError::Protocol(format!("more than {MOST_REDIRECTS} redirects")))
    }

    fn file_address(&self, repository: &str, revision: &str, file: &str) -> Url {
        let parts = repository.split('/').chain(["resolve", revision]).chain(file.split('/'));
        self.address(parts)
    }

    /// Names of a repository's files; `api` is its path below `/api`.
    pub fn list(&self, api: &str, revision: &str) -> Result<Vec<String>, ClientError> {
        let url = self.address(["api"].into_iter().chain(api.split('/')).chain(["revision", revision]));
        let mut response = self.get(url, None, |_| ())?;
        let listing: Listing = response.body_mut().with_config().limit(LARGEST_LIST).read_json()?;
        Ok(listing.siblings.into_iter().map(|s| s.rfilename).collect())
    }

    /// What the server says of a file, before anything of it is kept.
    pub fn announced(&self, repository: &str, revision: &str, file: &str) -> Result<Announced, ClientError> {
        let (mut commit, mut etag, mut linked) = (None, None, None);
        let last =
            self.get(self.file_address(repository, revision, file), Some("bytes=0-0"), |response| {
                commit = commit.take().or_else(|| header(response, "x-repo-commit"));
                etag = etag.take().or_else(|| header(response, "etag"));
                linked = linked.take().or_else(|| header(response, "x-linked-etag"));
            })?;
        let lacks = |what: &str| ClientError::Protocol(format!("the server's answer has no {what}"));
        let etag = linked.or(etag).ok_or_else(|| lacks("ETag"))?;
        let range = header(&last, CONTENT_RANGE.as_str()).ok_or_else(|| lacks("Content-Range"))?;
        let size = range.rsplit('/').next().and_then(|n| n.parse().ok());
        Ok(Announced {
            commit: commit.ok_or_else(|| lacks("X-Repo-Commit"))?,
            etag: etag.trim_start_matches("W/").replace('"', ""),
            size: size.ok_or_else(|| lacks("size in its Content-Range"))?,
        })
    }

    /// Appends what is missing of a file to `part`, which holds its first bytes. A server that falls silent
    /// is given up; what came stays in `part` for the next try.
    pub fn fetch(
        &self,
        (repository, revision, file): (&str, &str, &str),
        announced: &Announced,
        part: &mut File,
        bar: bool,
    ) -> Result<(), ClientError> {
        let mut here = part.seek(SeekFrom::End(0)).map_err(ClientError::Write)?;
        if here > announced.size {
            part.set_len(0).map_err(ClientError::Write)?;
            here = 0;
        }
        if here == announced.size {
            return Ok(());
        }
        let bar = if bar { self::bar(announced.size, file) } else { ProgressBar::hidden() };
        let url = self.file_address(repository, revision, file);
        let mut response = self.get(url, Some(&format!("bytes={here}-")), |_| ())?;
        let range = header(&response, CONTENT_RANGE.as_str());
        if range.is_none_or(|r| !r.starts_with(&format!("bytes {here}-"))) {
            return Err(ClientError::Protocol(format!("the server sends no part from byte {here}")));
        }
        bar.set_position(here);
        let most = announced.size - here;
        let body = response.body_mut().with_config().limit(most + 1).reader();
        let came = std::io::copy(&mut bar.wrap_read(body).take(most), part).map_err(ClientError::Transfer)?;
        bar.finish_and_clear();
        if came < most {
            let (here, size) = (here + came, announced.size);
            return Err(ClientError::Protocol(format!("the server ended after {here} of {size} bytes")));
        }
        Ok(())
    }
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn bar(size: u64, file: &str) -> ProgressBar {
    let bar = ProgressBar::new(size).with_message(file.to_owned());
    let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A server that answers each request by its path and headers; returns its address and the requests it saw.
    fn serve(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        std::thread::spawn(move || {
            // Streams without an answer stay open and silent.
            let mut silent: Vec<TcpStream> = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = lines.map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
                let head = head.join("\n").to_lowercase();
                requests.lock().unwrap().push(head.clone());
                match answer(&head) {
                    Some(text) => stream.write_all(text.as_bytes()).unwrap(),
                    None => silent.push(stream),
                }
            }
        });
        (address, seen)
    }

    fn part(body: &str, from: usize) -> String {
        let n = body.len();
        format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{n}\r\n\
             ETag: \"own\"\r\nConnection: close\r\n\r\n{}",
            n - from,
            n - 1,
            &body[from..]
        )
    }

    #[test]
    fn the_token_stays_with_the_endpoint() {
        let (other, other_saw) =
            serve(|head| Some(part("hello", if head.contains("bytes=2-") { 2 } else { 0 })));
        let to = format!("{other}/blob");
        let (endpoint, saw) = serve(move |_| {
            Some(format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nX-Repo-Commit: c0ffee\r\nX-Linked-ETag: \"linked\"\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            ))
        });
        let client = Client::new(&endpoint, Some("hf_secret".to_owned()), SILENCE).unwrap();
        let found = client.announced("o/n", "main", "a b.bin").unwrap();
        assert_eq!((found.commit.as_str(), found.etag.as_str(), found.size), ("c0ffee", "linked", 5));
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"he").unwrap();
        client.fetch(("o/n", "main", "a b.bin"), &found, &mut file, false).unwrap();
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello", "only the rest was fetched");
        let saw = saw.lock().unwrap();
        assert!(saw.iter().all(|h| h.contains("authorization: bearer hf_secret")), "{saw:?}");
        assert!(saw[0].starts_with("get /o/n/resolve/main/a%20b.bin"), "{saw:?}");
        let other_saw = other_saw.lock().unwrap();
        assert!(other_saw.len() == 2 && !other_saw.iter().any(|h| h.contains("secret")), "{other_saw:?}");
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let (endpoint, _) = serve(|_| None);
        let client = Client::new(&endpoint, None, Duration::from_millis(200)).unwrap();
        let error = client.announced("o/n", "main", "x").err().unwrap();
        assert!(matches!(error, ClientError::Http(ureq::Error::Timeout(_))), "{error}");
        // Silent in the middle of a file.
        let (endpoint, _) = serve(|head| {
            let whole = part("hello", 0).replace("Connection: close\r\n", "");
            Some(if head.contains("bytes=0-0") { whole } else { whole.replace("hello", "he") })
        });
        let client = Client::new(&endpoint, None, Duration::from_millis(200)).unwrap();
        let found = Announced { commit: "c".to_owned(), etag: "e".to_owned(), size: 5 };
        let mut file = tempfile::tempfile().unwrap();
        assert!(client.fetch(("o/n", "main", "x"), &found, &mut file, false).is_err());
        assert_eq!(file.metadata().unwrap().len(), 2, "what came stays");
    }

    #[test]
    fn statuses_and_endless_redirects() {
        let (endpoint, _) = serve(|_| {
            Some(
                "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    .to_owned(),
            )
        });
        let client = Client::new(&endpoint, None, SILENCE).unwrap();
        assert!(
            client.list("models/o/n", "main").unwrap_err().to_string().contains("more than 10 redirects")
        );
        let (endpoint, _) = serve(|_| {
            Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned())
        });
        let client = Client::new(&endpoint, None, SILENCE).unwrap();
        assert!(matches!(client.list("models/o/n", "main"), Err(ClientError::Status(403))));
    }
}
