CREATE TABLE pidj_events (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    received_at BIGINT NOT NULL,
    name VARCHAR(200) NOT NULL,
    order_key VARCHAR(80),
    body BLOB NOT NULL,
    headers TEXT NOT NULL,
    fingerprint VARCHAR(64) NOT NULL,
    duplicate_of BIGINT,
    consent VARCHAR(12),
    state VARCHAR(12) NOT NULL,
    attempts INTEGER NOT NULL,
    due_at BIGINT NOT NULL,
    worker VARCHAR(80),
    fence INTEGER NOT NULL,
    handled_at BIGINT,
    replayed_at BIGINT,
    error TEXT
);

CREATE INDEX pidj_events_due ON pidj_events (state, due_at, id);

CREATE INDEX pidj_events_fingerprint ON pidj_events (fingerprint, received_at);

CREATE INDEX pidj_events_order ON pidj_events (order_key, state, id);

CREATE TABLE pidj_meta (
    name VARCHAR(40) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE pidj_shapes (
    event VARCHAR(200) NOT NULL,
    path VARCHAR(400) NOT NULL,
    type VARCHAR(20) NOT NULL,
    count BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (event, path, type)
);

CREATE TABLE pidj_suppressions (
    phone_number VARCHAR(20) NOT NULL,
    scope VARCHAR(80) NOT NULL,
    suppressed BOOLEAN NOT NULL,
    source VARCHAR(40) NOT NULL,
    changed_at BIGINT NOT NULL,
    event_id BIGINT,
    PRIMARY KEY (phone_number, scope)
);

INSERT INTO pidj_meta (name, value) VALUES ('schema', '1');
