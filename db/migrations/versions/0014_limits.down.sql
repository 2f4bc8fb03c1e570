drop table app.cost_buckets;
