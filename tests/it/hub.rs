//! The hub, against a local server that speaks as much of its protocol as the client uses.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Bench, SMALL, root, specbench};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server with the files of one repository; `gated` answers 403 to everything.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(repository: &str, files: BTreeMap<String, Vec<u8>>, gated: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, repository) = (Arc::clone(&requests), repository.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = answer(stream, &repository, &files, gated);
            }
        });
        Self { url, requests }
    }
}

fn answer(
    mut stream: TcpStream,
    repository: &str,
    files: &BTreeMap<String, Vec<u8>>,
    gated: bool,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut start = None;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(range) = header.strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').unwrap_or((range, ""));
            start = Some((from.parse::<usize>().unwrap_or(0), to.parse::<usize>().ok()));
        }
    }
    let simple = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    if gated {
        return stream.write_all(simple("403 Forbidden", "").as_bytes());
    }
    if path.starts_with("/api/") && path.contains(&format!("/{repository}/revision/")) {
        let names: Vec<_> = files.keys().map(|n| serde_json::json!({"rfilename": n})).collect();
        let body = serde_json::json!({"siblings": names, "sha": COMMIT}).to_string();
        return stream.write_all(simple("200 OK", &body).as_bytes());
    }
    let name = path.split(&format!("{repository}/resolve/")).nth(1).and_then(|r| r.split_once('/'));
    let Some((name, bytes)) = name.and_then(|(_, name)| files.get_key_value(name)) else {
        return stream.write_all(simple("404 Not Found", "").as_bytes());
    };
    let (from, to) = start.unwrap_or((0, None));
    let to = to.map_or(bytes.len(), |t| (t + 1).min(bytes.len()));
    let body = &bytes[from.min(bytes.len())..to];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\
         ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        body.len(),
        to.saturating_sub(1),
        bytes.len(),
        name.replace('/', "-"),
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn read_all(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let names = std::fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path());
    names.map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&p).unwrap())).collect()
}

fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn a_checkpoint_is_fetched_once_and_then_works_offline() {
    let server = Server::start("owner/tiny-clip", read_all("suites/demo/zero-shot"), false);
    let bench = Bench::new(
        &SMALL.replace("source = \"suites/demo/zero-shot\"", "source = \"hf:owner/tiny-clip@v1\""),
    );
    let cache = bench.out("hub");
    let run = |out: &str, extra: &[&str]| {
        let mut command = bench.run(out, &["--limit", "20"]);
        command.arg("--hub-cache").arg(&cache).args(["--hub-endpoint", &server.url]).args(extra);
        command.assert()
    };
    let missing = stderr(&run("offline", &["--offline"]).code(4));
    assert!(missing.contains("`config.json` of hf:owner/tiny-clip@v1 is not in the cache"), "{missing}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    let first = stderr(&run("first", &[]).success());
    assert!(first.contains("fetching model.safetensors of hf:owner/tiny-clip@v1"), "{first}");
    let asked = server.requests.load(Ordering::SeqCst);
    run("second", &[]).success();
    run("third", &["--offline"]).success();
    let inspect = |name: &str| {
        let mut command = specbench();
        command.arg("inspect").arg(name).arg("--hub-cache").arg(&cache).arg("--offline").assert()
    };
    inspect("hf:owner/tiny-clip@v1").success();
    assert!(stderr(&inspect("hf:owner/other").code(4)).contains("hf:owner/other@main is not in the cache"));
    assert_eq!(server.requests.load(Ordering::SeqCst), asked, "the cache is enough");
    std::fs::remove_file(
        cache.join("models--owner--tiny-clip/snapshots").join(COMMIT).join("tokenizer.json"),
    )
    .unwrap();
    let missing = stderr(&run("offline", &["--offline"]).code(4));
    assert!(missing.contains("`tokenizer.json` of hf:owner/tiny-clip@v1 is not in the cache"), "{missing}");
}

#[test]
fn gated_and_unknown_repositories_say_what_to_do() {
    let bench = Bench::new(&SMALL.replace("suites/demo/zero-shot", "hf:owner/closed@v1"));
    let message = |server: &Server| {
        let mut command = bench.run("out", &["--limit", "20"]);
        command.arg("--hub-cache").arg(bench.out("hub")).args(["--hub-endpoint", &server.url]);
        stderr(&command.assert().code(4))
    };
    let gated = message(&Server::start("owner/closed", BTreeMap::new(), true));
    assert!(gated.contains("hf:owner/closed@v1 is gated or private: accept its terms"), "{gated}");
    let unknown = message(&Server::start("someone/else", BTreeMap::new(), false));
    assert!(unknown.contains("the hub has no files in hf:owner/closed@v1"), "{unknown}");
}

#[test]
fn data_are_planned_with_sizes_and_licences_then_fetched() {
    let file = std::fs::read(root().join("suites/emoji/noto-v1-test.parquet")).unwrap();
    let size = file.len();
    let files = BTreeMap::from([("data/test-0.parquet".to_owned(), file), ("README.md".to_owned(), vec![1])]);
    let server = Server::start("owner/toys", files, false);
    let dir = tempfile::tempdir().unwrap();
    let registry = dir.path().join("datasets.toml");
    let text = format!(
        "[toys]\nsummary = \"x\"\nlayout = \"parquet\"\nlicence = \"Apache-2.0\"\norigin = \"x\"\n\
         classes = \"{0}/suites/emoji/classes.txt\"\ntemplate = \"{{}}\"\n[toys.split.test]\n\
         files = [\"hf:datasets/owner/toys@v2/data/test-0.parquet\"]\nexamples = 600\n",
        root().display()
    );
    std::fs::write(&registry, text).unwrap();
    let data = |extra: &[&str]| {
        let mut command = specbench();
        command.arg("data").args(extra).arg("--registry").arg(&registry);
        command.arg("--hub-cache").arg(dir.path().join("hub")).args(["--hub-endpoint", &server.url]);
        command.assert()
    };
    let out = |a: &assert_cmd::assert::Assert| String::from_utf8_lossy(&a.get_output().stdout).into_owned();
    let plan = out(&data(&["fetch", "--plan", "--json"]).success());
    let json: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(json["bytes_to_fetch"], size);
    assert_eq!(json["files"][0]["licence"], "Apache-2.0");
    assert!(out(&data(&["verify"]).success()).contains("missing"));
    data(&["fetch", "toys"]).success();
    assert!(out(&data(&["fetch", "--plan"]).success()).contains("0 B to fetch"));
    assert!(out(&data(&["verify", "toys"]).success()).contains("600 examples"));
    data(&["fetch", "tyos"]).code(2);
}
