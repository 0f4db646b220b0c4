//! One connection through the proxy: two directions that run side by side, until one of them cuts both.

use std::io;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::Shared;
use super::fault::{Deed, Said, Victim};
use super::talk::Talk;
use super::wire::{COPY_IN, Message, Opening, Reader, Writer, opening};

/// How a direction ends.
enum End {
    /// By itself: one of the sides has ended.
    Closed,
    /// A fault cuts both sides. Who armed it is told when that is done.
    Cut(Option<Said>),
}

/// Carries a connection until it ends. What a side says when it fails is seen by the other one as its end.
pub(super) async fn run(client: TcpStream, shared: &Shared) {
    let ended = carry(client, shared).await;
    // Both sockets are closed here.
    if let Ok(End::Cut(Some(said))) = ended {
        said.reached();
    }
}

async fn carry(mut client: TcpStream, shared: &Shared) -> io::Result<End> {
    client.set_nodelay(true)?;
    let (from_client, mut to_client) = client.split();
    let mut from_client = Reader::new(from_client);
    let opening = opening(&mut from_client, &mut to_client).await?;
    let mut server = TcpStream::connect(shared.server).await?;
    server.set_nodelay(true)?;
    let (mut from_server, to_server) = server.split();
    let mut to_server = Writer::new(to_server);
    let (Opening::Session(body) | Opening::Cancel(body)) = &opening;
    to_server.untagged(body).await?;
    to_server.flush().await?;
    if let Opening::Cancel(_) = opening {
        // The server closes when it has passed the wish on, and the client waits for that.
        from_server.read_to_end(&mut Vec::new()).await?;
        return Ok(End::Closed);
    }
    let talk = Mutex::new(Talk::new());
    tokio::select! {
        end = requests(from_client, to_server, shared, &talk) => end,
        end = replies(Reader::new(from_server), Writer::new(to_client), &talk) => end,
    }
}

async fn requests(
    mut client: Reader<impl AsyncRead + Unpin>,
    mut server: Writer<impl AsyncWrite + Unpin>,
    shared: &Shared,
    talk: &Mutex<Talk>,
) -> io::Result<End> {
    // A client that is gone may have sent something before, which the server still gets.
    while let Ok(Some(message)) = client.message().await {
        let statement = talk.lock().statement(&message);
        let armed = statement.and_then(|statement| shared.meet(&statement));
        match armed.map(super::fault::Armed::victim) {
            None => {}
            Some(Victim::Reply(deed)) => talk.lock().plan_next_reply(deed),
            Some(Victim::Request(deed)) => {
                if let Some(end) = carry_out(deed).await {
                    return Ok(end);
                }
            }
        }
        talk.lock().sends(&message);
        server.message(&message).await?;
        if client.is_drained() {
            server.flush().await?;
        }
    }
    server.end().await?;
    // The server answers what it was asked, and then closes, which ends the other direction.
    std::future::pending().await
}

async fn replies(
    mut server: Reader<impl AsyncRead + Unpin>,
    mut client: Writer<impl AsyncWrite + Unpin>,
    talk: &Mutex<Talk>,
) -> io::Result<End> {
    let mut kept: Vec<Message> = Vec::new();
    while let Some(message) = server.message().await? {
        let (planned, deed) = {
            let mut talk = talk.lock();
            (talk.is_planned(), talk.receives(&message))
        };
        // Before its data the server has nothing to answer.
        let is_kept = planned && message.tag != COPY_IN;
        kept.push(message);
        if let Some(deed) = deed {
            if let Some(end) = carry_out(deed).await {
                return Ok(end);
            }
        } else if is_kept {
            continue;
        }
        for message in kept.drain(..) {
            client.message(&message).await?;
        }
        if server.is_drained() {
            client.flush().await?;
        }
    }
    Ok(End::Closed)
}

/// Gives how the connection ends, if it does.
async fn carry_out(deed: Deed) -> Option<End> {
    match deed {
        Deed::Lose(said) => Some(End::Cut(Some(said))),
        Deed::Keep(said, released) => {
            said.reached();
            released.await.is_err().then_some(End::Cut(None))
        }
    }
}
