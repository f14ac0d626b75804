//! XOR over TCP.

use async_trait::async_trait;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::codec;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::kasa::json;
use crate::kasa::link::Link;
use crate::transport::{Endpoint, Steps};

/// An open connection. There is no login.
#[derive(Debug)]
pub(in crate::kasa) struct XorLink {
    stream: TcpStream,
    decoder: codec::Decoder,
    steps: Steps,
}

impl XorLink {
    pub(in crate::kasa) async fn connect(
        endpoint: &Endpoint,
        steps: Steps,
        deadline: Deadline,
    ) -> Result<Self> {
        Ok(Self {
            stream: endpoint.connect(steps, deadline).await?,
            decoder: codec::Decoder::default(),
            steps,
        })
    }

    async fn read_frame(&mut self) -> Result<Vec<u8>> {
        let doing = "reading the reply";
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            let read = self.stream.read(&mut buffer).await;
            match read.map_err(|cause| Error::io(doing, cause))? {
                0 => return Err(Error::io(doing, std::io::ErrorKind::UnexpectedEof.into())),
                read => self.decoder.push(buffer.get(..read).unwrap_or_default()),
            }
        }
    }

    /// The protocol does not say which reply belongs to which request: one that came uncalled must not be taken for
    /// the answer to the next request.
    fn drop_leftovers(&mut self) {
        let mut dropped = self.decoder.clear();
        let mut buffer = [0; 4096];
        // Bounded, since a device may send without end.
        for _ in 0..16 {
            match self.stream.try_read(&mut buffer) {
                Ok(read) if read > 0 => dropped += read,
                _ => break,
            }
        }
        if dropped > 0 {
            log::debug!("dropped {dropped} bytes that the device sent uncalled");
        }
    }
}

#[async_trait]
impl Link for XorLink {
    async fn ask(&mut self, request: &Value, deadline: Deadline) -> Result<Value> {
        let deadline = deadline.capped(self.steps.exchange);
        self.drop_leftovers();
        let frame = codec::frame(request.to_string().as_bytes());
        let doing = "sending the request";
        let sent = async {
            let written = self.stream.write_all(&frame).await;
            written.map_err(|cause| Error::io(doing, cause))
        };
        deadline.run(doing, sent).await?;
        let reply = deadline.run("reading the reply", self.read_frame()).await?;
        json::parse(&reply)
    }
}
