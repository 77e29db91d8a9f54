//! A server on Rust's `h2` that test/peers compares with ours.

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Error, RecvStream};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (socket, _) = listener.accept().await?;
            // Connection errors are results here, not messages.
            tokio::spawn(async move { serve(socket).await.ok() });
        }
    })
}

async fn serve(socket: TcpStream) -> Result<(), Error> {
    socket.set_nodelay(true).ok();
    let mut connection = server::Builder::new()
        .max_concurrent_streams(1024)
        .max_header_list_size(256 * 1024)
        .handshake(socket)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(async move { answer(request, respond).await.ok() });
    }
    Ok(())
}

/// Responds to a request when its body is complete, and never if its message begins with "later".
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), Error> {
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        message.extend_from_slice(&piece);
    }
    body.trailers().await?;
    if message.get(5..).is_some_and(|text| text.starts_with(b"later")) {
        std::future::poll_fn(|context| respond.poll_reset(context)).await?;
        return Ok(());
    }
    respond.send_response(Response::new(()), false)?.send_data(Bytes::from_static(b"ok"), true)
}
