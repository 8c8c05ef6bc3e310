//! The independent DNS client: hickory, over UDP and TCP.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_client::client::{Client, ClientHandle};
use hickory_client::runtime::TokioRuntimeProvider;
use hickory_client::tcp::TcpClientStream;
use hickory_client::udp::UdpClientStream;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use tokio::runtime::Runtime;

use super::wait;

/// Asks one server.
pub(crate) struct Dns {
    server: SocketAddr,
    runtime: Runtime,
}

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// UDP, one try.
    Udp,
    /// TCP, one connection for one question.
    Tcp,
}

impl Dns {
    /// A client of the server at `server`.
    pub(crate) fn new(server: SocketAddr) -> Dns {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        Dns { server, runtime }
    }

    /// The answer to one question, or why there is none.
    pub(crate) fn ask(&self, over: Over, name: &str, rtype: RecordType) -> Result<Message, String> {
        let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).map_err(|error| error.to_string())?;
        let limit = Duration::from_secs(2);
        let provider = TokioRuntimeProvider::new();
        let answer = self.runtime.block_on(async {
            let mut client = match over {
                Over::Udp => {
                    let stream = UdpClientStream::builder(self.server, provider).with_timeout(Some(limit)).build();
                    let (client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
                    tokio::spawn(background);
                    client
                }
                Over::Tcp => {
                    let (stream, sender) = TcpClientStream::new(self.server, None, Some(limit), provider);
                    let stream = stream.await?;
                    let (client, background) = Client::<TokioRuntimeProvider>::with_timeout(stream, sender, limit);
                    tokio::spawn(background);
                    client
                }
            };
            client.query(name, DNSClass::IN, rtype).await
        });
        answer.map(|response| response.into_message()).map_err(|error| error.to_string())
    }

    /// The serial of the zone, if the server answers with authority.
    pub(crate) fn serial(&self, zone: &str) -> Option<u32> {
        let answer = self.ask(Over::Udp, zone, RecordType::SOA).ok()?;
        if answer.metadata.response_code != ResponseCode::NoError || !answer.metadata.authoritative {
            return None;
        }
        answer.answers.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.serial),
            _ => None,
        })
    }

    /// Waits until the server answers with `serial`.
    #[track_caller]
    pub(crate) fn wait_serial(&self, zone: &str, serial: u32, limit: Duration) {
        let mut last = None;
        let seen = wait::poll(limit, || {
            last = self.serial(zone);
            (last == Some(serial)).then_some(())
        });
        assert!(seen.is_some(), "{}: {zone} has serial {last:?} after {limit:?}, not {serial}", self.server);
    }

    /// The text of the first TXT record of `name`.
    pub(crate) fn txt(&self, over: Over, name: &str) -> Option<String> {
        let answer = self.ask(over, name, RecordType::TXT).ok()?;
        answer.answers.iter().find_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect()),
            _ => None,
        })
    }

    /// The response code of a question over UDP.
    pub(crate) fn rcode(&self, name: &str, rtype: RecordType) -> Option<ResponseCode> {
        Some(self.ask(Over::Udp, name, rtype).ok()?.metadata.response_code)
    }
}
