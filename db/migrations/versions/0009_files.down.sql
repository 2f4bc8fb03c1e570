drop index ev.inbox_topic_idx;
drop index ev.log_topic_idx;
drop table app.cache;
drop table app.files;
