//! What to do with one message, as a pure function of its bytes and the view: answer it, relay it
//! or ignore it.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};

use crate::view::{Known, Records, View};

/// How long an own answer may be kept, in seconds. Resolvers that honour it (nginx with `resolver`,
/// the JVM, nscd) would otherwise go on using the address of a container that is gone; asking again
/// costs some microseconds.
pub const TTL: u32 = 1;

/// The UDP payload we announce, and the most we send: the way is loopback, whose MTU is far above
/// it.
const PAYLOAD: u16 = 4096;
/// What a client without EDNS takes (RFC 1035 §4.2.1).
const PLAIN: u16 = 512;
/// Bytes of an OPT record without options.
const OPT_LENGTH: usize = 11;
const HEADER_LENGTH: usize = 12;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// What to do with a message.
#[derive(Debug)]
pub(crate) enum Decision {
    Reply(Vec<u8>),
    Relay(Box<Request>),
    /// Too short to name an id, or itself an answer: to reply would invite a loop.
    Ignore,
}

/// A well-formed query with exactly one question.
#[derive(Debug)]
pub(crate) struct Request {
    message: Message,
    query: Query,
    transport: Transport,
    /// As it came: an upstream gets these bytes and no others, but for the id.
    pub(crate) wire: Vec<u8>,
}

/// Decides about `wire`. `turn` counts up from query to query and rotates the addresses of an
/// answer.
pub(crate) fn decide(wire: &[u8], transport: Transport, view: &View, turn: usize) -> Decision {
    let request = match Request::read(wire, transport) {
        Ok(request) => request,
        Err(decision) => return decision,
    };
    let name = request.query.name().to_lowercase().to_ascii();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let known = view.find(name, is_infrastructure(request.query.query_type()));
    if known == Known::Foreign {
        return Decision::Relay(Box::new(request));
    }
    Decision::Reply(request.answer(&known, turn))
}

fn is_infrastructure(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::NS | RecordType::SOA | RecordType::DS | RecordType::DNSKEY
    )
}

/// The question of a message, whether it is a query or an answer; `None` when there is none to
/// read.
pub(crate) fn question(wire: &[u8]) -> Option<Query> {
    let mut decoder = BinDecoder::new(wire);
    let header = Header::read(&mut decoder).ok()?;
    match header.counts.queries {
        0 => None,
        _ => Query::read(&mut decoder).ok(),
    }
}

/// Where the question of a message ends; the end of the header when it has none.
pub(crate) fn question_end(wire: &[u8]) -> usize {
    let mut decoder = BinDecoder::new(wire);
    match Header::read(&mut decoder) {
        Ok(header) if header.counts.queries > 0 => match Query::read(&mut decoder) {
            Ok(_) => decoder.index(),
            Err(_) => HEADER_LENGTH,
        },
        _ => HEADER_LENGTH,
    }
}

impl Request {
    fn read(wire: &[u8], transport: Transport) -> Result<Self, Decision> {
        let Ok(header) = Header::read(&mut BinDecoder::new(wire)) else {
            return Err(Decision::Ignore);
        };
        if header.metadata.message_type == MessageType::Response {
            return Err(Decision::Ignore);
        }
        if header.metadata.op_code != OpCode::Query {
            return Err(refuse(&header, ResponseCode::NotImp));
        }
        match Message::from_vec(wire) {
            Ok(mut message) if message.queries.len() == 1 => {
                let query = message.queries.remove(0);
                Ok(Self {
                    message,
                    query,
                    transport,
                    wire: wire.to_vec(),
                })
            }
            _ => Err(refuse(&header, ResponseCode::FormErr)),
        }
    }

    pub(crate) fn id(&self) -> u16 {
        self.message.metadata.id
    }

    pub(crate) fn query(&self) -> &Query {
        &self.query
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// The longest message the client takes.
    pub(crate) fn limit(&self) -> usize {
        match (self.transport, &self.message.edns) {
            (Transport::Tcp, _) => usize::from(u16::MAX),
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN, PAYLOAD).into(),
            (Transport::Udp, None) => PLAIN.into(),
        }
    }

    /// An answer without records.
    pub(crate) fn fail(&self, code: ResponseCode) -> Vec<u8> {
        self.encode(code, Vec::new(), false)
    }

    fn answer(&self, known: &Known<'_>, turn: usize) -> Vec<u8> {
        if self
            .message
            .edns
            .as_ref()
            .is_some_and(|edns| edns.version() > 0)
        {
            return self.fail(ResponseCode::BADVERS);
        }
        let records = match known {
            Known::Addresses(records) => self.addresses(records, turn),
            Known::Pointer(name) if self.asks_for(RecordType::PTR) => self.pointer(name),
            Known::Pointer(_) | Known::Empty => Vec::new(),
            Known::Nonexistent | Known::Foreign => return self.fail(ResponseCode::NXDomain),
        };
        let fitting = self.fitting(&records);
        let truncated = fitting < records.len();
        self.encode(
            ResponseCode::NoError,
            records.into_iter().take(fitting).collect(),
            truncated,
        )
    }

    fn asks_for(&self, kind: RecordType) -> bool {
        let asked = self.query.query_type();
        let class = self.query.query_class();
        (asked == kind || asked == RecordType::ANY) && matches!(class, DNSClass::IN | DNSClass::ANY)
    }

    fn addresses(&self, records: &Records, turn: usize) -> Vec<Record> {
        let mut data: Vec<RData> = Vec::new();
        if self.asks_for(RecordType::A) {
            data.extend(rotated(&records.v4, turn).map(|address| RData::A(A(address))));
        }
        if self.asks_for(RecordType::AAAA) {
            data.extend(rotated(&records.v6, turn).map(|address| RData::AAAA(AAAA(address))));
        }
        data.into_iter().map(|data| self.record(data)).collect()
    }

    /// A service's name may hold `_`, which the strict reading of a host name refuses: labels are
    /// taken as bytes.
    fn pointer(&self, name: &str) -> Vec<Record> {
        match Name::from_labels(name.split('.').map(str::as_bytes)) {
            Ok(name) => vec![self.record(RData::PTR(PTR(name)))],
            Err(_) => Vec::new(),
        }
    }

    fn record(&self, data: RData) -> Record {
        Record::from_rdata(self.query.name().clone(), TTL, data)
    }

    /// How many records fit, with the OPT record that has to come after them. The owner's name is a
    /// pointer of two bytes, and ten bytes stand between it and the data.
    fn fitting(&self, records: &[Record]) -> usize {
        let mut left = self.limit() - HEADER_LENGTH - OPT_LENGTH - self.query.name().len() - 5;
        let fits = |record: &&Record| {
            let length = match record.record_type() {
                RecordType::A => 2 + 10 + 4,
                RecordType::AAAA => 2 + 10 + 16,
                // A pointer's single record: the encoder itself truncates it, which no real name
                // needs.
                _ => 0,
            };
            let enough = left >= length;
            left = left.saturating_sub(length);
            enough
        };
        records.iter().take_while(fits).count()
    }

    fn encode(&self, code: ResponseCode, answers: Vec<Record>, truncated: bool) -> Vec<u8> {
        let asked = &self.message.metadata;
        let mut reply = Message::response(asked.id, asked.op_code);
        reply.metadata.recursion_desired = asked.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.metadata.checking_disabled = asked.checking_disabled;
        reply.metadata.authoritative =
            matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
        reply.metadata.truncation = truncated;
        reply.metadata.response_code = code;
        reply.add_query(self.query.clone());
        reply.add_answers(answers);
        reply.edns = self.message.edns.as_ref().map(own_edns);
        emit(&reply, self.limit()).unwrap_or_default()
    }
}

/// Our side of EDNS: the size we take, and the client's DNSSEC flag back (RFC 3225 §3).
fn own_edns(asked: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    edns
}

/// An answer to a message whose question cannot be trusted: the header and nothing else.
fn refuse(header: &Header, code: ResponseCode) -> Decision {
    let mut reply = Message::error_msg(header.metadata.id, header.metadata.op_code, code);
    reply.metadata.recursion_desired = header.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    emit(&reply, PLAIN.into()).map_or(Decision::Ignore, Decision::Reply)
}

fn emit(message: &Message, limit: usize) -> Result<Vec<u8>, ProtoError> {
    let mut wire = Vec::with_capacity(PLAIN.into());
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_max_size(u16::try_from(limit).unwrap_or(u16::MAX));
    message.emit(&mut encoder)?;
    Ok(wire)
}

fn rotated<T: Copy>(addresses: &[T], turn: usize) -> impl Iterator<Item = T> {
    let start = turn.checked_rem(addresses.len()).unwrap_or(0);
    addresses
        .iter()
        .cycle()
        .skip(start)
        .take(addresses.len())
        .copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Forward;

    fn view() -> View {
        let web = Records {
            v4: (1..=100).map(|last| [10, 0, 0, last].into()).collect(),
            v6: vec!["fd00::2".parse().unwrap()],
        };
        View {
            names: [("web".to_owned(), web)].into(),
            forward: Forward::Upstreams(vec!["192.0.2.1:53".parse().unwrap()]),
            ..View::default()
        }
    }

    fn query(name: &str, kind: RecordType, edns: Option<u16>) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        let labels = name.trim_end_matches('.').split('.').map(str::as_bytes);
        message.add_query(Query::query(Name::from_labels(labels).unwrap(), kind));
        message.edns = edns.map(|size| {
            let mut edns = Edns::new();
            edns.set_max_payload(size).set_dnssec_ok(true);
            edns
        });
        message.to_vec().unwrap()
    }

    #[test]
    fn a_large_answer_keeps_its_opt_record_and_every_address_that_fits() {
        for (edns, most) in [(None, 512), (Some(600), 600), (Some(1), 512)] {
            let wire = query("web.", RecordType::A, edns);
            let Decision::Reply(reply) = decide(&wire, Transport::Udp, &view(), 0) else {
                panic!("an own name is answered");
            };
            assert!(
                reply.len() <= most && reply.len() + 16 + OPT_LENGTH > most,
                "{}",
                reply.len()
            );
            let reply = Message::from_vec(&reply).unwrap();
            assert!(reply.metadata.truncation);
            assert_eq!(reply.edns.is_some(), edns.is_some());
            assert!(reply.edns.is_none_or(|edns| edns.flags().dnssec_ok));
        }
    }

    #[test]
    fn every_address_comes_first_in_its_turn() {
        let wire = query("WEB.", RecordType::A, Some(4096));
        let first = |turn| {
            let Decision::Reply(reply) = decide(&wire, Transport::Udp, &view(), turn) else {
                panic!("an own name is answered");
            };
            let reply = Message::from_vec(&reply).unwrap();
            assert_eq!(
                (reply.answers.len(), reply.metadata.truncation),
                (100, false)
            );
            assert_eq!(
                reply.queries[0].name().to_ascii(),
                "WEB.",
                "spelt as it was asked"
            );
            reply.answers[0].data.ip_addr().unwrap().to_string()
        };
        assert_eq!(
            [first(0), first(1), first(100)],
            ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decided_about(wire: Vec<u8>, tcp: bool, turn: usize) {
            let transport = if tcp { Transport::Tcp } else { Transport::Udp };
            answers_in_kind(&wire, decide(&wire, transport, &view(), turn))?;
        }

        #[test]
        fn nearly_right_queries_are_decided_about(
            at in 0_usize..64,
            value: u8,
            cut in 0_usize..64,
            name in "[a-z0-9_-]{1,20}(\\.[a-z]{1,10}){0,3}\\.",
            kind: u16,
        ) {
            let mut wire = query(&name, kind.into(), Some(1232));
            if let Some(byte) = wire.get_mut(at) {
                *byte = value;
            }
            wire.truncate(wire.len() - cut.min(wire.len()));
            answers_in_kind(&wire, decide(&wire, Transport::Udp, &view(), 0))?;
        }

        #[test]
        fn hostile_answers_have_a_question_end(wire: Vec<u8>) {
            prop_assert!(question_end(&wire) <= wire.len().max(HEADER_LENGTH));
            drop(question(&wire));
        }
    }

    /// A reply bears the id of the query, and says that it is one.
    fn answers_in_kind(wire: &[u8], decision: Decision) -> Result<(), TestCaseError> {
        match decision {
            Decision::Reply(reply) => {
                prop_assert_eq!(&reply[..2], &wire[..2]);
                prop_assert!(reply[2] & 0x80 != 0);
                prop_assert!(reply.len() <= PAYLOAD.into() || wire.len() > usize::from(PAYLOAD));
            }
            Decision::Relay(request) => prop_assert_eq!(&request.wire, wire),
            Decision::Ignore => prop_assert!(wire.len() < HEADER_LENGTH || wire[2] & 0x80 != 0),
        }
        Ok(())
    }
}
