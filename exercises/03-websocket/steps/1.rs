/// `GET /ws`, first step: a text frame after each change; the client is not heard.
async fn updates(
    request: HttpRequest,
    payload: Payload,
    counter: Data<Counter>,
) -> actix_web::Result<impl Responder> {
    let (response, mut session, _inbox) = actix_ws::handle(&request, payload)?;
    let mut updates = counter.subscribe();
    rt::spawn(async move {
        loop {
            let frame = match updates.next().await {
                Some(update) => Message::Text(update.text.clone()),
                None => Message::Close(Some(CloseCode::Away.into())),
            };
            if !frames::send(&mut session, frame).await {
                break;
            }
        }
    });
    Ok(response)
}
