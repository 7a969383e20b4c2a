/// `GET /ws`, second step: a text frame after each change, and the client is heard.
async fn updates(
    request: HttpRequest,
    payload: Payload,
    counter: Data<Counter>,
) -> actix_web::Result<impl Responder> {
    let payload = frames::limit(&request, payload);
    let (response, mut session, inbox) = actix_ws::handle(&request, payload)?;
    let mut inbox = inbox.aggregate_continuations().max_continuation_size(MAX_BYTES);
    let mut updates = counter.subscribe();
    rt::spawn(async move {
        loop {
            let frame = tokio::select! {
                update = updates.next() => match update {
                    Some(update) => Message::Text(update.text.clone()),
                    None => Message::Close(Some(CloseCode::Away.into())),
                },
                frame = inbox.recv() => {
                    let Some(frame) = frame else { break };
                    let Some(answer) = command(frame, &counter).await else { continue };
                    answer
                }
            };
            if !frames::send(&mut session, frame).await {
                break;
            }
        }
    });
    Ok(response)
}
