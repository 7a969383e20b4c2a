/// `GET /events`, first step: the newest snapshot as one event, and the answer ends.
async fn updates(counter: Data<Counter>) -> impl Responder {
    let mut updates = counter.subscribe();
    let Some(update) = updates.next().await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    HttpResponse::Ok().content_type("text/event-stream").body(update.text.clone())
}
