//! The name server on loopback sockets, as a container meets it, with upstreams that follow a
//! script.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bowline_dns::{Forward, OwnNamespace, Records, Server, TTL, View, serve};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What an upstream answers: nothing, or these bytes after this long.
type Script = dyn Fn(&[u8], Transport) -> Option<(Duration, Vec<u8>)> + Send + Sync;

#[derive(Clone, Copy, PartialEq)]
enum Transport {
    Udp,
    Tcp,
}

/// An upstream on UDP, and on TCP of the same port unless it has none.
struct Upstream {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

impl Upstream {
    async fn follow(
        script: impl Fn(&[u8], Transport) -> Option<(Duration, Vec<u8>)> + Send + Sync + 'static,
    ) -> Self {
        Self::start(script, true).await
    }

    async fn start(
        script: impl Fn(&[u8], Transport) -> Option<(Duration, Vec<u8>)> + Send + Sync + 'static,
        tcp: bool,
    ) -> Self {
        let (udp, listener) = sockets().await;
        let address = udp.local_addr().unwrap();
        let (asked, last) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (count, seen) = (Arc::clone(&asked), Arc::clone(&last));
        let script: Arc<Script> = Arc::new(move |query, transport| {
            count.fetch_add(1, Ordering::SeqCst);
            *seen.lock().unwrap() = query.to_vec();
            script(query, transport)
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_udp(Arc::new(udp), Arc::clone(&script)));
        if tcp {
            tasks.spawn(answer_tcp(listener, script));
        }
        Self {
            address,
            asked,
            last,
            _tasks: tasks,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer_udp(socket: Arc<UdpSocket>, script: Arc<Script>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        let Some((delay, reply)) = script(&buffer[..length], Transport::Udp) else {
            continue;
        };
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            sleep(delay).await;
            drop(socket.send_to(&reply, client).await);
        });
    }
}

async fn answer_tcp(listener: TcpListener, script: Arc<Script>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let query = read_frame(&mut stream).await;
        if let Some((_, reply)) = script(&query, Transport::Tcp) {
            write_frame(&mut stream, &reply).await;
        }
    }
}

/// UDP and TCP on one port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut wire = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut wire).await.unwrap();
    wire
}

async fn write_frame(stream: &mut TcpStream, wire: &[u8]) {
    stream
        .write_u16(u16::try_from(wire.len()).unwrap())
        .await
        .unwrap();
    stream.write_all(wire).await.unwrap();
}

/// The name server of one container, and a client inside it.
struct Container {
    address: SocketAddr,
    view: Arc<ArcSwap<View>>,
    _server: Server,
}

impl Container {
    async fn seeing(view: View) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let view = Arc::new(ArcSwap::from_pointee(view));
        let server = serve(udp, tcp, Arc::clone(&view), Arc::new(OwnNamespace));
        Self {
            address,
            view,
            _server: server,
        }
    }

    async fn behind(upstreams: &[&Upstream]) -> Self {
        Self::seeing(view(upstreams)).await
    }

    async fn send(&self, wire: &[u8]) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(wire, self.address).await.unwrap();
        let mut buffer = vec![0; 65_535];
        let received = timeout(Duration::from_secs(6), socket.recv(&mut buffer)).await;
        received
            .ok()
            .map(|length| buffer[..length.unwrap()].to_vec())
    }

    async fn send_tcp(&self, wire: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        write_frame(&mut stream, wire).await;
        read_frame(&mut stream).await
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        let reply = self
            .send(&query(name, kind).to_vec().unwrap())
            .await
            .unwrap();
        Message::from_vec(&reply).unwrap()
    }
}

fn view(upstreams: &[&Upstream]) -> View {
    let web = Records::from_iter(["10.0.0.2", "10.0.0.3"].map(|a| a.parse::<IpAddr>().unwrap()));
    let six = Records::from("fd00::6".parse::<IpAddr>().unwrap());
    View {
        names: [("web", web.clone()), ("web.shop_front", web), ("six", six)]
            .map(|(name, records)| (name.to_owned(), records))
            .into(),
        ptr: [(IpAddr::from([10, 0, 0, 2]), "web.shop_front".to_owned())].into(),
        forward: Forward::Upstreams(upstreams.iter().map(|upstream| upstream.address).collect()),
        host_gateway: IpAddr::from([10, 0, 0, 1]).into(),
        network_names: vec!["shop_front".to_owned()],
        forward_single_labels: false,
    }
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn with_edns(mut message: Message, size: u16) -> Vec<u8> {
    let mut edns = Edns::new();
    edns.set_max_payload(size).set_dnssec_ok(true);
    message.set_edns(edns);
    message.to_vec().unwrap()
}

/// An answer to `query` with as many addresses.
fn reply(query: &[u8], code: ResponseCode, addresses: u8) -> Vec<u8> {
    let asked = Message::from_vec(query).unwrap();
    let mut reply = Message::response(asked.metadata.id, OpCode::Query);
    reply.metadata.response_code = code;
    for last in 1..=addresses {
        let data = RData::A(A([192, 0, 2, last].into()));
        reply.add_answer(Record::from_rdata(
            asked.queries[0].name().clone(),
            60,
            data,
        ));
    }
    reply.add_queries(asked.queries);
    reply.to_vec().unwrap()
}

fn at_once(wire: Vec<u8>) -> Option<(Duration, Vec<u8>)> {
    Some((Duration::ZERO, wire))
}

fn addresses(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .filter_map(|r| r.data.ip_addr())
        .map(|ip| ip.to_string())
        .collect()
}

#[tokio::test]
async fn own_names_answer_addresses_and_nothing_else_and_never_leak() {
    let upstream =
        Upstream::follow(|query, _| at_once(reply(query, ResponseCode::NoError, 1))).await;
    let container = Container::behind(&[&upstream]).await;

    let mut found = addresses(&container.ask("Web.", RecordType::A).await);
    found.sort();
    assert_eq!(found, ["10.0.0.2", "10.0.0.3"]);
    let six = container.ask("six.", RecordType::AAAA).await;
    assert_eq!(addresses(&six), ["fd00::6"]);
    assert_eq!(six.answers[0].ttl, TTL);
    assert!(six.metadata.recursion_available && six.metadata.authoritative);

    let other = [
        RecordType::AAAA,
        RecordType::TXT,
        RecordType::HTTPS,
        RecordType::MX,
    ];
    for kind in other
        .into_iter()
        .chain([RecordType::SOA, RecordType::Unknown(65_280)])
    {
        let nothing = container.ask("web.shop_front.", kind).await;
        assert_eq!(
            nothing.metadata.response_code,
            ResponseCode::NoError,
            "{kind}"
        );
        assert!(nothing.answers.is_empty(), "{kind}");
    }
    for name in ["wbe.", "db.shop_front."] {
        let unknown = container.ask(name, RecordType::AAAA).await;
        assert_eq!(
            unknown.metadata.response_code,
            ResponseCode::NXDomain,
            "{name}"
        );
    }
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn the_host_and_own_addresses_have_names() {
    let container = Container::behind(&[]).await;
    for name in [
        "host.docker.internal.",
        "gateway.docker.internal.",
        "host.containers.internal.",
    ] {
        assert_eq!(
            addresses(&container.ask(name, RecordType::A).await),
            ["10.0.0.1"]
        );
        let v6 = container.ask(name, RecordType::AAAA).await;
        assert_eq!(v6.metadata.response_code, ResponseCode::NoError);
    }
    let pointer = container
        .ask("2.0.0.10.in-addr.arpa.", RecordType::PTR)
        .await;
    let RData::PTR(name) = &pointer.answers[0].data else {
        panic!("a pointer")
    };
    assert_eq!(name.to_string(), "web.shop_front.");
}

#[tokio::test]
async fn a_new_view_counts_from_the_next_query_on() {
    let container = Container::behind(&[]).await;
    container.view.store(Arc::new(View::default()));
    let gone = container.ask("web.", RecordType::A).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn an_internal_network_asks_nobody() {
    let upstream =
        Upstream::follow(|query, _| at_once(reply(query, ResponseCode::NoError, 1))).await;
    let inside = View {
        forward: Forward::None,
        ..view(&[&upstream])
    };
    let container = Container::seeing(inside).await;
    let foreign = container.ask("example.org.", RecordType::A).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn other_names_are_relayed_to_the_byte() {
    // A type nobody knows, flags of every kind, an OPT record with an option nobody knows.
    let tail = [
        &[0xc0, 12, 0xff, 0, 0, 1, 0, 0, 0, 60, 0, 3, 1, 2, 3][..],
        &[0, 0, 41, 4, 208, 0, 0, 128, 0, 0, 6, 0xfd, 0xe9, 0, 2, 9, 9],
    ]
    .concat();
    let expected = tail.clone();
    let upstream = Upstream::follow(move |query, _| {
        let mut wire = query.to_vec();
        wire.truncate(12 + 13 + 4);
        wire[2..4].copy_from_slice(&[0x85, 0xb0]);
        wire[4..12].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, 1]);
        at_once([wire, tail.clone()].concat())
    })
    .await;
    let container = Container::behind(&[&upstream]).await;
    let asked = with_edns(query("example.org.", RecordType::Unknown(65_280)), 1232);

    let answer = container.send(&asked).await.unwrap();
    assert_eq!(answer[..4], [0x12, 0x34, 0x85, 0xb0]);
    assert!(answer.ends_with(&expected));
    let seen = upstream.last.lock().unwrap().clone();
    assert_eq!(seen[2..], asked[2..], "the query too, but for its id");

    let over_tcp = container.send_tcp(&asked).await;
    assert_eq!(over_tcp, answer);
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp_when_the_client_has_room() {
    let upstream = Upstream::follow(|query, transport| {
        let mut short = reply(query, ResponseCode::NoError, 0);
        short[2] |= 0x02;
        at_once(match transport {
            Transport::Udp => short,
            Transport::Tcp => reply(query, ResponseCode::NoError, 60),
        })
    })
    .await;
    let container = Container::behind(&[&upstream]).await;
    let asked = || query("example.org.", RecordType::A);

    let roomy = container.send(&with_edns(asked(), 4096)).await.unwrap();
    assert_eq!(Message::from_vec(&roomy).unwrap().answers.len(), 60);
    let plain = container.ask("example.org.", RecordType::A).await;
    assert!(plain.metadata.truncation && plain.answers.is_empty());
    let over_tcp = container.send_tcp(&asked().to_vec().unwrap()).await;
    assert_eq!(Message::from_vec(&over_tcp).unwrap().answers.len(), 60);
}

#[tokio::test]
async fn an_answer_longer_than_the_client_takes_is_cut_and_marked() {
    let upstream = Upstream::start(
        |query, _| at_once(reply(query, ResponseCode::NoError, 60)),
        false,
    )
    .await;
    let container = Container::behind(&[&upstream]).await;
    let asked = query("example.org.", RecordType::A).to_vec().unwrap();
    let cut = container.send(&asked).await.unwrap();
    assert!(cut.len() <= 512);
    assert!(Message::from_vec(&cut).unwrap().metadata.truncation);
    // This upstream has no TCP: a client that comes over TCP is served by its UDP.
    let whole = container.send_tcp(&asked).await;
    assert_eq!(Message::from_vec(&whole).unwrap().answers.len(), 60);
}

#[tokio::test]
async fn the_next_server_answers_for_a_dead_or_failing_one() {
    let silent = Upstream::follow(|_, _| None).await;
    let failing = Upstream::follow(|q, _| at_once(reply(q, ResponseCode::ServFail, 0))).await;
    let well = Upstream::follow(|q, _| at_once(reply(q, ResponseCode::NoError, 1))).await;
    let gone = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for (first, wait) in [(silent.address, 900), (failing.address, 250), (gone, 250)] {
        let servers = Forward::Upstreams(vec![first, well.address]);
        let container = Container::seeing(View {
            forward: servers,
            ..view(&[])
        })
        .await;
        let start = Instant::now();
        assert_eq!(
            container
                .ask("a.example.", RecordType::A)
                .await
                .answers
                .len(),
            1
        );
        assert!(
            start.elapsed() < Duration::from_millis(wait),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn a_dead_server_is_waited_for_once() {
    let silent = Upstream::follow(|_, _| None).await;
    let well = Upstream::follow(|q, _| at_once(reply(q, ResponseCode::NoError, 1))).await;
    let container = Container::behind(&[&silent, &well]).await;
    container.ask("a.example.", RecordType::A).await;
    let start = Instant::now();
    container.ask("b.example.", RecordType::A).await;
    assert!(
        start.elapsed() < Duration::from_millis(250),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(silent.asked(), 1);
}

#[tokio::test]
async fn when_all_are_dead_the_client_is_told_in_time() {
    let silent = [
        Upstream::follow(|_, _| None).await,
        Upstream::follow(|_, _| None).await,
    ];
    let container = Container::behind(&[&silent[0], &silent[1]]).await;
    let start = Instant::now();
    let told = container.ask("a.example.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
    assert!(
        start.elapsed() < Duration::from_millis(2500),
        "{:?}",
        start.elapsed()
    );

    let nobody = Container::behind(&[]).await;
    let told = nobody.ask("a.example.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn a_complaint_is_relayed_when_every_server_complains() {
    let refusing = Upstream::follow(|q, _| at_once(reply(q, ResponseCode::Refused, 0))).await;
    let container = Container::behind(&[&refusing]).await;
    let refused = container.ask("a.example.", RecordType::A).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn an_earlier_server_that_knows_the_name_outweighs_a_later_that_does_not() {
    let slow = Upstream::follow(|query, _| {
        Some((
            Duration::from_millis(500),
            reply(query, ResponseCode::NoError, 1),
        ))
    })
    .await;
    let public = Upstream::follow(|q, _| at_once(reply(q, ResponseCode::NXDomain, 0))).await;
    let container = Container::behind(&[&slow, &public]).await;
    let answer = container.ask("intranet.example.", RecordType::A).await;
    assert_eq!(addresses(&answer), ["192.0.2.1"]);
    assert_eq!(public.asked(), 1, "it was asked meanwhile");
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again() {
    let lost = AtomicUsize::new(0);
    let upstream = Upstream::follow(move |query, _| match lost.fetch_add(1, Ordering::SeqCst) {
        0 => None,
        _ => at_once(reply(query, ResponseCode::NoError, 1)),
    })
    .await;
    let container = Container::behind(&[&upstream]).await;
    assert_eq!(
        container
            .ask("a.example.", RecordType::A)
            .await
            .answers
            .len(),
        1
    );
}

#[tokio::test]
async fn answers_to_other_questions_are_passed_over() {
    let upstream = Upstream::follow(|asked, _| {
        let mut other = query("evil.example.", RecordType::A);
        other.metadata.id = Message::from_vec(asked).unwrap().metadata.id;
        at_once(reply(&other.to_vec().unwrap(), ResponseCode::NoError, 1))
    })
    .await;
    let container = Container::behind(&[&upstream]).await;
    let told = container.ask("a.example.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn our_own_address_is_never_asked() {
    let container = Container::behind(&[]).await;
    let own = Forward::Upstreams(vec![container.address]);
    container.view.store(Arc::new(View {
        forward: own,
        ..view(&[])
    }));
    let start = Instant::now();
    let told = container.ask("a.example.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
    assert!(start.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn malformed_messages_are_refused_and_answers_ignored() {
    let container = Container::behind(&[]).await;
    let good = query("web.", RecordType::A).to_vec().unwrap();
    let code = |reply: Option<Vec<u8>>| Message::from_vec(&reply.unwrap()).unwrap().response_code;

    let cut = container.send(&good[..good.len() - 2]).await;
    assert_eq!(code(cut), ResponseCode::FormErr);
    let mut update = good.clone();
    update[2] = 5 << 3;
    assert_eq!(code(container.send(&update).await), ResponseCode::NotImp);
    let mut two = good.clone();
    two[5] = 2;
    two.extend(&good[12..]);
    assert_eq!(code(container.send(&two).await), ResponseCode::FormErr);
    let mut future = query("web.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    future.set_edns(edns);
    let future = container.send(&future.to_vec().unwrap()).await;
    // BADVERS shares its number with a code of signatures, as which it is read back.
    assert_eq!(u16::from(code(future)), u16::from(ResponseCode::BADVERS));

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(container.address).await.unwrap();
    let mut answer = good.clone();
    answer[2] |= 0x80;
    socket.send(&answer).await.unwrap();
    socket.send(b"short").await.unwrap();
    socket.send(&good).await.unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!(
        Message::from_vec(&buffer[..length]).unwrap().answers.len(),
        2
    );
    assert!(
        timeout(Duration::from_millis(200), socket.recv(&mut buffer))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_flood_is_answered_to_the_last_and_own_names_meanwhile() {
    let silent = Upstream::follow(|_, _| None).await;
    let container = Container::behind(&[&silent]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(container.address).await.unwrap();
    // Fewer than a socket's queue holds at the default buffer size.
    for number in 0..200_u16 {
        let mut asked = query("a.example.", RecordType::A);
        asked.metadata.id = number;
        socket.send(&asked.to_vec().unwrap()).await.unwrap();
    }
    assert_eq!(container.ask("web.", RecordType::A).await.answers.len(), 2);
    let mut buffer = [0; 512];
    for _ in 0..200 {
        let received = timeout(Duration::from_secs(4), socket.recv(&mut buffer)).await;
        let length = received.unwrap().unwrap();
        let told = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
    }
}

#[tokio::test]
async fn a_tcp_connection_carries_several_queries_at_once() {
    let upstream = Upstream::follow(|_, _| None).await;
    let container = Container::behind(&[&upstream]).await;
    let mut stream = TcpStream::connect(container.address).await.unwrap();
    let slow = query("a.example.", RecordType::A).to_vec().unwrap();
    let quick = query("web.", RecordType::A).to_vec().unwrap();
    write_frame(&mut stream, &slow).await;
    write_frame(&mut stream, &quick).await;
    stream.shutdown().await.unwrap();
    let first = Message::from_vec(&read_frame(&mut stream).await).unwrap();
    assert_eq!(
        first.answers.len(),
        2,
        "the slow one does not hold up the quick one"
    );
    let second = Message::from_vec(&read_frame(&mut stream).await).unwrap();
    assert_eq!(second.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn noise_over_tcp_ends_the_connection() {
    let container = Container::behind(&[]).await;
    let mut stream = TcpStream::connect(container.address).await.unwrap();
    write_frame(&mut stream, b"noise").await;
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}
