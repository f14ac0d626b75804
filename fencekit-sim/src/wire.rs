//! TCP serving with the faults of the wire.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::device::Device;

/// A simulated device that serves on a socket until this is dropped.
#[derive(Debug)]
pub struct Running {
    /// The device, to look at and to set faults on.
    pub device: Device,
    /// Where it listens.
    pub address: SocketAddr,
    /// The transport, in the words of the `transport` option: `xor`, `http`, `native`.
    pub transport: &'static str,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Of tasks that serve a device.
    #[must_use]
    pub fn new(
        device: Device,
        address: SocketAddr,
        transport: &'static str,
        tasks: Vec<JoinHandle<()>>,
    ) -> Self {
        Self {
            device,
            address,
            transport,
            tasks,
        }
    }
}

impl Running {
    /// The same with one more task that ends with it.
    #[must_use]
    pub fn with_task(mut self, task: JoinHandle<()>) -> Self {
        self.tasks.push(task);
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Listens at `address` and serves each connection with `serve`.
///
/// # Errors
/// Those of binding the socket.
pub async fn listen<F, Fut>(
    device: Device,
    address: SocketAddr,
    transport: &'static str,
    serve: F,
) -> io::Result<Running>
where
    F: Fn(Wire) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let of_task = device.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let wire = Wire {
                stream,
                device: of_task.clone(),
                ending: false,
            };
            let serve = serve.clone();
            tokio::spawn(async move {
                let device = wire.device.clone();
                if device.enter() {
                    // A client that goes away is no error of the device's.
                    let _ = serve(wire).await;
                } else {
                    wire.reset();
                }
                device.leave();
            });
        }
    });
    Ok(Running::new(device, address, transport, vec![task]))
}

/// One connection to a simulated device.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// The device that it belongs to.
    pub device: Device,
    ending: bool,
}

const PAGE: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>It works!</body></html>";

impl Wire {
    /// Reads some bytes; 0 at the end of the stream, or after a reply that ended the connection.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ending {
            Ok(0)
        } else {
            self.stream.read(buffer).await
        }
    }

    /// Fills `buffer`.
    ///
    /// # Errors
    /// `UnexpectedEof` at the end of the stream; those of the socket.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if self.ending {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stream.read_exact(buffer).await.map(|_| ())
    }

    /// To be called once a request was read and before it is acted on: waits, resets or never returns, as the
    /// faults say.
    ///
    /// # Errors
    /// `ConnectionReset` when the connection is over.
    pub async fn admit(&mut self) -> io::Result<()> {
        self.device.count_request();
        let faults = self.device.faults();
        if faults.reset {
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if faults.silent {
            // Until the client gives up, in any case not for ever.
            let mut rest = [0; 64];
            let gone = async { while self.stream.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
            let _ = tokio::time::timeout(Duration::from_secs(600), gone).await;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Sends a reply, or what the faults make of it. `http` says whether the reply is HTTP.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn reply(&mut self, bytes: &[u8], http: bool) -> io::Result<()> {
        let faults = self.device.faults();
        if let Some(slow) = faults.slow {
            tokio::time::sleep(slow).await;
        }
        if faults.drop_reply {
            self.ending = true;
            return self.stream.shutdown().await;
        }
        if faults.cut_reply {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            self.stream.write_all(half).await?;
            self.ending = true;
            return self.stream.shutdown().await;
        }
        if faults.garbage {
            let mut noise = [0u8; 48];
            let _ = getrandom::fill(&mut noise);
            // No protocol begins with this byte, so that none takes the noise for the beginning of a message.
            if let Some(first) = noise.first_mut() {
                *first = 0xa5;
            }
            self.stream.write_all(&noise).await?;
            self.ending = true;
            return self.stream.shutdown().await;
        }
        if faults.html {
            let page = if http { page("200 OK", "") } else { PAGE.to_owned() };
            return self.last(page.as_bytes()).await;
        }
        if faults.redirect && http {
            let page = page("302 Found", "Location: http://127.0.0.1:9/elsewhere\r\n");
            return self.last(page.as_bytes()).await;
        }
        if faults.server_error && http {
            return self.last(page("500 Internal Server Error", "").as_bytes()).await;
        }
        if faults.oversize {
            return self.endless(http).await;
        }
        if faults.trickle {
            for byte in bytes {
                self.stream.write_all(std::slice::from_ref(byte)).await?;
                self.stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            return Ok(());
        }
        if faults.doubled {
            return self.stream.write_all(&[bytes, bytes].concat()).await;
        }
        self.stream.write_all(bytes).await
    }

    async fn last(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.ending = true;
        self.stream.shutdown().await
    }

    async fn endless(&mut self, http: bool) -> io::Result<()> {
        let head: &[u8] = if http {
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
        } else {
            b"\x80\x00\x00\x00"
        };
        self.stream.write_all(head).await?;
        let block = vec![b' '; 64 * 1024];
        for _ in 0..1024 {
            self.stream.write_all(&block).await?;
        }
        self.ending = true;
        Ok(())
    }

    /// Ends the connection in an orderly way.
    pub async fn finish(&mut self) {
        self.ending = true;
        let _ = self.stream.shutdown().await;
    }

    fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }
}

fn page(status: &str, headers: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{headers}Content-Length: {}\r\n\r\n{PAGE}",
        PAGE.len()
    )
}
