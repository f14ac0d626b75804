//! What the HTTP transports have in common on the device's side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Unit;
use crate::http::{Request, Response, read};
use crate::wire::{Running, Wire, listen};

/// Answers the requests of one transport.
pub(super) trait Site: Send + Sync + 'static {
    /// The reply to one request.
    fn answer(&self, request: &Request) -> Response;
}

/// Serves a site.
pub(super) async fn serve(
    unit: &Unit,
    address: SocketAddr,
    transport: &'static str,
    site: impl Site,
) -> io::Result<Running> {
    let site = Arc::new(site);
    let closes = unit.quirks.close_each;
    listen(unit.device.clone(), address, transport, move |wire| {
        conversation(wire, Arc::clone(&site), closes)
    })
    .await
}

async fn conversation(mut wire: Wire, site: Arc<impl Site>, closes: bool) -> io::Result<()> {
    while let Some(request) = read(&mut wire).await? {
        wire.admit().await?;
        let reply = site.answer(&request).to_bytes();
        wire.reply(&reply, true).await?;
        if closes || !request.keep_alive {
            wire.finish().await;
        }
    }
    Ok(())
}
