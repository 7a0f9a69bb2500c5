# The systems of docker-compose.yml, and the grammar of a profile by example.
#
#   docker compose up -d
#   mqdeck --profile profiles/compose.hcl
#
# A profile is one environment: its systems, as `integration` blocks. What is misspelled, missing or of the wrong kind is an error that
# names file, line and column; all of a file's errors are shown at once (`mqdeck profile check`). What a profile finally says, and which
# line says it, is shown by `mqdeck profile show`, with secrets as ***.

# ── Variables ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
# ${env.NAME} is an environment variable, ${var.name} comes from --var name=value or from a default. Both stand alone as well: env.NAME,
# var.name. A missing one is an error. Nothing is computed: there are no functions, conditions or loops.

variable "kafka" {
  default     = "localhost:9092" # --var kafka=elsewhere:9092 goes before it
  description = "where the broker of docker-compose.yml listens"
}

variable "nats" {
  default = "localhost:4222"
}

variable "mqtt" {
  default = "localhost:1883"
}

variable "redis" {
  default = "localhost:6379"
}

variable "rabbitmq" {
  default = "localhost:5672"
}

variable "password" {
  default   = "not-a-secret-here" # in your own profile: password = "${env.KAFKA_PASSWORD}"
  sensitive = true
}

# ── Safety ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
safety {
  mode       = "confirm" # "read-only": nothing is ever changed · "confirm" · "open": what can be reversed is done without a question
  production = false     # true: nothing is changed until somebody arms it (`!`, or --arm NAME)
  arm_for    = "5m"      # so long it stays armed, an hour at most
}

# ── The systems of docker-compose.yml ────────────────────────────────────────────────────────────────────────────────────────────────────
integration "kafka" {
  type = "kafka"

  endpoint {
    address = var.kafka # "host", "host:port", "kafka://host:port"; the port is 9092 unless said
  }
}

# Subjects, JetStream's streams and consumers, services: nats.hcl beside this file has every way to log in.
integration "nats" {
  type = "nats"

  endpoint {
    address = var.nats # "host", "host:port", "nats://host:port"; the port is 4222 unless said
  }
}

# ── The MQTT broker of docker-compose.yml ────────────────────────────────────────────────────────────────────────────────────────────────
integration "mqtt" {
  type = "mqtt"

  endpoint {
    address = var.mqtt # "mqtt://…", "mqtts://…" for TLS, "ws://host:port/mqtt" and "wss://…" for websockets
  }

  config {
    qos = 2 # of what is published unless said, and the highest of what is listened to; without it 1, and 2
  }
}

# ── The Redis of docker-compose.yml ──────────────────────────────────────────────────────────────────────────────────────────────────────
integration "redis" {
  type = "redis"

  endpoint {
    address = var.redis # "redis://…", or "rediss://…" for TLS; of a cluster any servers, of sentinels theirs
  }

  config {
    db            = 0
    payload_field = "data" # the field of a stream's entries that carries the payload; without it the first of the usual ones is taken
  }
}

# ── The RabbitMQ of docker-compose.yml ───────────────────────────────────────────────────────────────────────────────────────────────────
integration "rabbit" {
  type = "rabbitmq"

  endpoint {
    address = var.rabbitmq # "amqp://…", or "amqps://…" for TLS; of a cluster all servers, tried in turn
  }

  auth {
    type     = "basic" # a client certificate alone is type = "mtls" (SASL EXTERNAL), a token type = "bearer"
    username = "mqdeck"
    password = var.password
  }

  config {
    vhost          = "/"
    management_url = "http://localhost:15672" # port 15672, or 15671 with TLS, beside AMQP unless said; "none" asks nothing of it
    prefetch       = 10 # messages that are held unsettled at once

    connection {
      heartbeat   = 10 # seconds
      channel_max = 2047
    }

    # What `mqdeck manage tenant.declare rabbit/tenant-123` makes; this is seed 1's, and what it is without a word.
    exchanges = [
      { name = "grey.tasks", type = "topic", durable = true },
      { name = "grey.results", type = "topic", durable = true },
      { name = "grey.dlx", type = "fanout", durable = true },
    ]

    queues = [
      {
        name                 = "grey.tasks.{tenant}" # bound to grey.tasks by the key tasks.{tenant}; or say `exchange` and `routing_key`
        durable              = true
        max_priority         = 10
        dead_letter_exchange = "grey.dlx" # a queue grey.dlq keeps what comes by it
        message_ttl          = 3600000
      },
    ]
  }

  channels {
    pattern           = "grey.tasks.*"
    tenant_extraction = topic_suffix
  }
}

# ── Everything else that can be said ─────────────────────────────────────────────────────────────────────────────────────────────────────
# None of these answers here. They are listed, unreachable, and show how each thing is written.

integration "several-brokers" {
  type    = "kafka"
  timeout = "10s" # how long one request may take; durations have a unit: "100ms", "30s", "5m"

  endpoint {
    brokers = ["kafka1.invalid:9092", "kafka2.invalid"] # also `addresses`; tried in turn
    port    = 9094                                      # for those that name none
    tls     = true                                      # the machine's own authorities, certificate and name checked
  }

  # User and password as they are (SASL PLAIN). Also type = "plain", and "password" where a system needs no user.
  auth {
    type     = "basic"
    username = "alice"
    password = "${var.password}"
  }

  # How one request is repeated, when the connection is given up, how often it is looked after, and how it is opened again.
  retry {
    max_attempts = 3
    backoff      = "exponential" # "constant", "linear", "jittered"
    initial      = "100ms"
    max          = "10s"
  }

  circuit_breaker {
    failure_threshold = 5
    success_threshold = 2
    timeout           = "30s"
  }

  health_check {
    enabled  = true
    interval = "5s"
  }

  reconnect {
    enabled      = true
    max_attempts = -1 # for ever
    delay        = "500ms"
    max_delay    = "60s"
  }
}

integration "scram" {
  type = "kafka"

  endpoint {
    address = "kafkas://kafka.invalid:9093" # kafkas:// is TLS

    tls {
      ca_cert       = "certs/ca.pem" # relative to this file's folder; also `ca`
      server_name   = "kafka.internal" # asked for and checked instead of the address's host
      verify_server = true             # false is shown on every screen; also `verify_peer`
      min_version   = "1.3"            # "1.2" unless said
    }
  }

  auth {
    type      = "scram"
    mechanism = "SCRAM-SHA-256" # SCRAM-SHA-512 unless said
    username  = "alice"
    password  = var.password
  }

  # Groups to watch even where the cluster does not list them; all that it lists are shown anyway.
  groups = ["payments", "billing"]

  # Channels by a pattern with one `*`, and where their tenant stands: `tenant-123` in `grey.tasks.tenant-123`.
  channels {
    pattern           = "grey.tasks.*"
    tenant_extraction = topic_suffix # the part that the star stands for
  }

  channels {
    pattern           = "grey.results.*"
    tenant_extraction = topic_suffix
  }

  # Payloads are read as what they look like; `prefer` names formats that are tried before: json, messagepack, confluent, text, bytes.
  channels {
    pattern = "grey.telemetry"
    prefer  = ["messagepack", "json"]
  }
}

integration "client-certificate" {
  type = "kafka"

  endpoint {
    address = "kafka.invalid"
    port    = 9093
    tls     = { ca_cert = "certs/ca.pem" } # a block and an object are the same
  }

  auth {
    type        = "mtls" # the same as client_cert and client_key in the tls block; also `cert` and `key` there
    client_cert = "certs/client.pem"
    client_key  = "~/keys/client-key.pem" # ~/ is your home
  }
}

integration "fixed-token" {
  type = "kafka"

  endpoint {
    address = "kafka.invalid:9093"
    tls     = true
  }

  auth {
    type  = "bearer" # also "token", "oauth" (SASL OAUTHBEARER)
    token = var.password
  }
}

integration "token-file" {
  type = "kafka"

  endpoint {
    address = "kafka.invalid:9093"
    tls     = true
  }

  auth {
    type       = "bearer"
    token_file = "/run/secrets/kafka-token" # kept fresh by somebody else, read at every log-in
  }
}

integration "client-credentials" {
  type = "kafka"

  endpoint {
    address = "kafka.invalid:9093"
    tls     = true
  }

  auth {
    type          = "oauth2" # also "client_credentials" (RFC 6749 section 4.4)
    token_url     = "https://auth.invalid/realms/grey/protocol/openid-connect/token"
    client_id     = "grey-service"
    client_secret = var.password
    scopes        = ["kafka.read", "kafka.write"]
  }
}

integration "nobody" {
  type = "kafka"

  endpoint {
    address = "[::1]:19092"
    tls     = false
  }

  auth {
    type = "none"
  }
}

# The settings of seed 1 by their names. Underscores are librdkafka's dots: compression_type is compression.type.
#
# Which wins, when a thing is said twice (the one that lost is noted by `mqdeck profile check`):
#   1. Where and as whom: the `endpoint` block (with its `tls`) and the `auth` block go before everything under `config`, so that reading
#      and writing never go to different places. Without those blocks `config` fills in: brokers, security { … }, and librdkafka's own
#      names bootstrap.servers, security.protocol, sasl.*, ssl.*.location.
#   2. Everything else: librdkafka = { "linger.ms" = 20 } before producer { linger_ms = 5 } or consumer { … } before linger_ms = 1.
#      Where `security` and librdkafka = { … } both speak, librdkafka's name goes first.
integration "seed-1" {
  type = "kafka"

  config {
    brokers = ["kafka1.invalid:9092", "kafka2.invalid:9092", "kafka3.invalid:9092"]

    security {
      protocol        = "SASL_SSL" # PLAINTEXT, SSL, SASL_PLAINTEXT
      mechanism       = "SCRAM-SHA-512" # PLAIN, SCRAM-SHA-256
      username        = "grey-service"
      password        = var.password
      ssl_ca_location = "certs/ca.pem"
    }

    consumer {
      group_id = "grey-cluster" # reading never joins a group and never commits: kept for what asks for a group's name

      topics = [
        { pattern = "grey.tasks.*", tenant_extraction = "topic_suffix" } # grey.tasks.tenant-123
      ]

      auto_offset_reset  = "earliest"
      enable_auto_commit = false
      max_poll_records   = 100
      session_timeout_ms = 30000
    }

    producer {
      acks               = "all"
      enable_idempotence = true
      transactional_id   = "grey-producer"
      compression_type   = "lz4"
      linger_ms          = 5
      batch_size         = 65536
    }

    # Any setting of librdkafka, for producers and consumers: with underscores, or in `librdkafka` with its dots.
    client_rack = "eu-central-1a"

    librdkafka = {
      "queue.buffering.max.kbytes" = 65536
      "linger.ms"                  = 20 # goes before producer { linger_ms = 5 }
    }
  }
}

integration "plant" {
  type = "mqtt"

  endpoint {
    address = "wss://mqtt.invalid:8443/mqtt"
    tls     = { ca_cert = "certs/ca.pem" } # with client_cert and client_key, or auth of type "mtls", where the broker wants them
  }

  auth {
    type     = "password" # also "bearer", "oauth2": the token is the password, and `username` in the config block the user
    username = "ops"
    password = var.password
  }

  # A broker has no list of topics: these are listened to, while somebody looks, to see which there are. Everything (#) unless said.
  channels {
    pattern = "site/*"
  }

  config {
    version        = "auto"    # 5, and 3.1.1 where the broker does not speak it; "5", "3.1.1"
    client_id      = "ops-desk" # what client ids begin with: each connection has one of its own
    keep_alive     = "60s"
    clean_session  = false # received messages that are not acknowledged stay with the broker, under exactly this client id …
    session_expiry = "1h"  # … for so long (MQTT 5)
    sys            = true  # what the broker says of itself ($SYS) is listened to as well
    max_topics     = 20000 # so many are remembered

    will {
      topic   = "desks/ops"
      payload = "gone"
      qos     = 1
      retain  = true
    }
  }
}

integration "redis-by-sentinels" {
  type = "redis"

  endpoint {
    addresses = ["sentinel1.invalid:26379", "sentinel2.invalid:26379"]
  }

  auth {
    type     = "password"
    username = "ops" # without it only a password is given, as for servers that know no users
    password = var.password
  }

  config {
    sentinel          = "main" # the name by which they watch the master
    sentinel_password = var.password
  }
}
