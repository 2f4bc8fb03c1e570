drop table app.offline_batches;
