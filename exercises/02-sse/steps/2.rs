/// `GET /events`, second step: one event after each change, in an answer that does not end.
async fn updates(counter: Data<Counter>) -> impl Responder {
    let events = stream::unfold(counter.subscribe(), async |mut updates| {
        let Some(update) = updates.next().await else { return None };
        Some((update.text.clone().into_bytes(), updates))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(events.map(Ok::<_, Infallible>))
}
