# NATS and JetStream: the server of docker-compose.yml, and every way to log in.
#
#   docker compose up --detach --wait nats
#   mqdeck --profile profiles/nats.hcl
#
# A bare channel name is a subject, with or without wildcards; everything else is said:
#
#   mqdeck tail 'nats/orders.>'                    live, nothing kept
#   mqdeck tail nats/stream:ORDERS --from '1h ago' a stream, by its sequences and times; needs no consumer and leaves no trace
#   mqdeck channels nats                           streams, consumers, services that answer $SRV, subjects seen
#   mqdeck publish nats/orders.created '{"n":1}'   accepted by the server, kept by nobody
#   mqdeck publish nats/stream:ORDERS '{"n":1}' --key orders.created    stored, acknowledged with its sequence

variable "nats" {
  default     = "localhost:4222"
  description = "where the server of docker-compose.yml listens"
}

variable "secret" {
  default   = "not-a-secret-here" # in your own profile: password = "${env.NATS_PASSWORD}"
  sensitive = true
}

integration "nats" {
  type = "nats"

  endpoint {
    address = var.nats # "host", "host:port", "nats://host:port"; tls:// speaks TLS
  }
}

# None of these answers here: they show how each thing is written.

integration "cluster" {
  type = "nats"

  endpoint {
    addresses = ["nats1.invalid", "nats2.invalid", "nats3.invalid"] # tried in turn; others of the cluster are found through them
  }

  auth {
    type     = "password"
    username = "alice"
    password = var.secret
  }
}

integration "token" {
  type = "nats"

  endpoint {
    address = "nats.invalid"
  }

  auth {
    type  = "token"
    token = var.secret
  }
}

integration "key-pair" {
  type = "nats"

  endpoint {
    address = "tls://nats.invalid"
  }

  auth {
    type      = "nkey"
    seed_file = "user.nk" # or seed = "${env.NATS_SEED}"
  }
}

integration "creds-file" {
  type = "nats"

  endpoint {
    address = "tls://nats.invalid"
  }

  auth {
    type = "creds" # a user's JWT and seed, as `nsc generate creds` writes them
    file = "user.creds"
  }

  config {
    inbox_prefix = "_INBOX_alice" # where answers are sent; for users that may not subscribe to _INBOX.>
    domain       = "hub"          # JetStream of another domain; or api_prefix = "…", where its API is imported under another name
    tls_first    = true           # the server speaks TLS before its first word (handshake_first)
  }
}

integration "client-certificate" {
  type = "nats"

  endpoint {
    address = "nats.invalid"
    tls     = { ca_cert = "certs/ca.pem" }
  }

  auth {
    type        = "mtls"
    client_cert = "certs/client.pem"
    client_key  = "certs/client-key.pem"
  }
}
