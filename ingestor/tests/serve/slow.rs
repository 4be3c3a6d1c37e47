//! Clients that hold connections, bodies, answers or memory do not affect an honest client.

use std::net::SocketAddr;
use std::time::Duration;

use tallybox_ingestor::config::ProxyConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::sockets::{RunningServer, certificate, fresh, head, start, until};

const SOON: Duration = Duration::from_secs(1);
const ASK: &[u8] = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Returns an HTTP/2 frame on stream 0 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const ACK: u8 = 1;

/// Connects from `127.{network}.0.1`, so that each number is a different network.
async fn connect_from(network: u8, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::from(([127, network, 0, 1], 0)))
        .unwrap();
    socket.connect(address).await.unwrap()
}

/// Asserts that an honest client with the attacker's own address is served at once.
async fn served(running: &RunningServer, index: u64) {
    let body = fresh(index);
    let posting = async {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(head(body.len()).as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        assert!(
            until(&mut stream, "ccepted\"")
                .await
                .starts_with("HTTP/1.1 200")
        );
    };
    timeout(SOON, posting)
        .await
        .expect("an honest client is served within a second");
}

async fn is_open(stream: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(20), stream.read(&mut [0; 1]))
        .await
        .is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_connections_keep_no_client_out() {
    let running = start(|ingestor, _| ingestor.serve.connections = 50).await;
    let post = head(100);
    let requests: [&[u8]; 5] = [
        b"",
        b"POST /v1/us-xx/rep",
        post.as_bytes(),
        b"POST /v1/us-xx/reports HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for (index, request) in requests.iter().enumerate() {
        let mut held = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            // The server may have closed the connection in favour of the next one already.
            let _ = stream.write_all(request).await;
            held.push(stream);
        }
        served(&running, index as u64).await;
    }
    let mut operators = TcpStream::connect(running.operations).await.unwrap();
    operators
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let metrics = until(&mut operators, "# EOF").await;
    assert!(
        !metrics.contains("connections_closed_total{reason=\"evicted\"} 0"),
        "{metrics}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_makes_room_among_its_own_connections() {
    let running = start(|ingestor, _| ingestor.serve.connections_per_network = 8).await;
    let mut honest = connect_from(9, running.address).await;
    honest.write_all(ASK).await.unwrap();
    until(&mut honest, "200 OK").await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(connect_from(8, running.address).await);
    }
    sleep(Duration::from_millis(100)).await;
    let mut open = 0;
    for stream in &mut held {
        open += usize::from(is_open(stream).await);
    }
    assert_eq!(open, 8);
    honest.write_all(ASK).await.unwrap();
    until(&mut honest, "200 OK").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_no_network_of_clients() {
    let running = start(|ingestor, _| {
        ingestor.serve.connections_per_network = 2;
        ingestor.serve.first_request_secs = 1;
        ingestor.serve.behind_proxy = Some(ProxyConfig { hops: 1 });
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(TcpStream::connect(running.address).await.unwrap());
    }
    sleep(Duration::from_millis(1500)).await;
    for stream in &mut held {
        assert!(is_open(stream).await);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_request_are_closed_early() {
    for tls in [false, true] {
        let running = start(|ingestor, directory| {
            ingestor.serve.first_request_secs = 1;
            if tls {
                ingestor.serve.tls = Some(certificate(directory).0);
            }
        })
        .await;
        let begun = Instant::now();
        let mut silent = TcpStream::connect(running.address).await.unwrap();
        let mut slow = TcpStream::connect(running.address).await.unwrap();
        let (mut coming, mut going) = slow.split();
        let dripping = async {
            for byte in b"POST /v1/us-xx/reports HTTP/1.1\r\nhost: x".iter().cycle() {
                if going.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let mut end = [0; 64];
        tokio::select! {
            _ = coming.read(&mut end) => {}
            () = dripping => {}
        }
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_only_announced_reserve_nothing() {
    const BODY: usize = 64 << 10;
    let running = start(|ingestor, _| {
        ingestor.serve.body_bytes = BODY as u64;
        ingestor.serve.memory_bytes = 2 * BODY as u64;
    })
    .await;
    let mut held = Vec::new();
    for network in 0..20 {
        let mut stream = connect_from(network, running.address).await;
        stream.write_all(head(BODY).as_bytes()).await.unwrap();
        held.push(stream);
    }
    sleep(Duration::from_millis(50)).await;
    served(&running, 0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_sent_and_held_are_given_up_for_others() {
    const BODY: usize = 256 << 10;
    let running = start(|ingestor, _| {
        ingestor.serve.body_bytes = BODY as u64;
        ingestor.serve.memory_bytes = 4 * BODY as u64;
    })
    .await;
    let almost = vec![b' '; BODY - 1];
    let mut held = Vec::new();
    for network in 0..4 {
        let mut stream = connect_from(network, running.address).await;
        stream.write_all(head(BODY).as_bytes()).await.unwrap();
        let _ = stream.write_all(&almost).await;
        held.push(stream);
    }
    // Bodies cannot be evicted for a second; then the oldest are evicted.
    sleep(Duration::from_millis(1200)).await;
    let large = vec![b' '; BODY];
    let mut honest = connect_from(99, running.address).await;
    honest.write_all(head(BODY).as_bytes()).await.unwrap();
    honest.write_all(&large).await.unwrap();
    // The body is not JSON, but the server has read all of it.
    assert!(
        until(&mut honest, "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400")
    );
    served(&running, 0).await;
    running.stop().await;
}

/// Returns the head of a post on a stream (RFC 7541: fields without indexing).
fn post_frame(stream: u32) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(4_u8, "/v1/us-xx/reports"), (1, "localhost")] {
        block.extend([name, value.len() as u8]);
        block.extend(value.as_bytes());
    }
    // content-type is entry 31 of the static table.
    block.extend([0x0f, 16, "application/json".len() as u8]);
    block.extend(b"application/json");
    const HEADERS: u8 = 1;
    const END_HEADERS: u8 = 4;
    let mut frame = frame(HEADERS, END_HEADERS, &block);
    frame[5..9].copy_from_slice(&stream.to_be_bytes());
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_follow_each_other_slowly_keep_no_connection() {
    let running = start(|ingestor, _| {
        ingestor.serve.idle_secs = 2;
        ingestor.serve.first_request_secs = 1;
    })
    .await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut coming, mut going) = stream.into_split();
    let greeting = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, &[]),
        frame(SETTINGS, ACK, &[]),
    ];
    going.write_all(&greeting.concat()).await.unwrap();
    let begun = Instant::now();
    let opening = async {
        for stream in (1..).step_by(2) {
            if going.write_all(&post_frame(stream)).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    let reading = async {
        let mut piece = [0; 4096];
        while coming.read(&mut piece).await.is_ok_and(|read| read > 0) {}
    };
    let both = async {
        tokio::select! {
            () = opening => {}
            () = reading => {}
        }
    };
    timeout(Duration::from_secs(10), both).await.unwrap();
    assert!(
        begun.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_pings_loses_its_connection() {
    let running = start(|ingestor, _| {
        ingestor.serve.idle_secs = 1;
        ingestor.serve.first_request_secs = 1;
    })
    .await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut coming, mut going) = stream.into_split();
    let greeting = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, &[]),
    ]
    .concat();
    going.write_all(&greeting).await.unwrap();
    let (answers, mut answer) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let pinging = tokio::spawn(async move {
        loop {
            let pause = tokio::time::sleep(Duration::from_millis(100));
            let next = tokio::select! {
                Some(answer) = answer.recv() => answer,
                () = pause => frame(PING, 0, b"livelive"),
            };
            if going.write_all(&next).await.is_err() {
                return;
            }
        }
    });
    // The client answers all frames of the server correctly until the server closes the connection.
    let mut frames = Vec::new();
    let reading = async {
        loop {
            let mut head = [0; 9];
            if coming.read_exact(&mut head).await.is_err() {
                return;
            }
            let mut payload = vec![0; usize::from(head[2]) + 256 * usize::from(head[1])];
            if coming.read_exact(&mut payload).await.is_err() {
                return;
            }
            frames.push(head[3]);
            match (head[3], head[4] & ACK) {
                (SETTINGS, 0) => answers.send(frame(SETTINGS, ACK, &[])).unwrap(),
                (PING, 0) => answers.send(frame(PING, ACK, &payload)).unwrap(),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), reading)
        .await
        .unwrap();
    assert!(
        frames.contains(&PING) || frames.contains(&GO_AWAY),
        "{frames:?}"
    );
    pinging.abort();
    running.stop().await;
}
