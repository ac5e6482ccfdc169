-- Run once, when the volume is new.
CREATE TABLE entries (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text        NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    message text        NOT NULL CHECK (length(message) BETWEEN 1 AND 2000),
    written timestamptz NOT NULL DEFAULT now()
);
