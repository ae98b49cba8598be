"""What `pidj_async.webhooks` claims."""
