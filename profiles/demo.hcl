# What `mqdeck demo` opens: the systems that it runs inside itself, and real servers beside it where their programs are installed.
# `mqdeck demo --headless` keeps them up and prints the path of a profile that reaches them; with those addresses this file does the same
# from a second terminal:
#
#   mqdeck --profile profiles/demo.hcl --var kafka=127.0.0.1:40123 --var mqtt=127.0.0.1:40124 --var nats=127.0.0.1:20418 …

variable "kafka" {
  default = "${env.MQDECK_DEMO_KAFKA}"
}

variable "mqtt" {
  default = "${env.MQDECK_DEMO_MQTT}"
}

variable "nats" {
  default = "127.0.0.1:4222"
}

variable "redis" {
  default = "127.0.0.1:6379"
}

variable "rabbitmq" {
  default = "127.0.0.1:5672"
}

# The port behind RabbitMQ's own.
variable "management" {
  default = "127.0.0.1:15672"
}

integration "events" {
  type = "kafka"

  endpoint {
    address = var.kafka
  }

  health_check {
    interval = "2s"
  }

  config {
    # The embedded broker cannot look up by time: bounds in time are searched over records.
    mqdeck = { time_lookup = "search" }
  }

  # It cannot list groups either.
  groups = ["billing", "analytics", "pager", "audit-archive", "grey-cluster"]

  channels {
    pattern           = "grey.tasks.*"
    tenant_extraction = topic_suffix
  }

  channels {
    pattern           = "grey.results.*"
    tenant_extraction = topic_suffix
  }
}

integration "devices" {
  type = "mqtt"

  endpoint {
    address = var.mqtt
  }

  health_check {
    interval = "2s"
  }

  config {
    version = "5"
    sys     = false # the embedded broker says nothing of itself, and throws out who asks for it
    qos     = 1     # it has no more
  }
}

# Alerts that nobody keeps, incidents in a stream with two consumers, and a service that is asked who is on call.
integration "incidents" {
  type = "nats"

  endpoint {
    address = var.nats
  }

  health_check {
    interval = "2s"
  }
}

# Jobs in a stream with two groups, and invalidations on a channel.
integration "cache" {
  type = "redis"

  endpoint {
    address = var.redis
  }

  health_check {
    interval = "2s"
  }
}

# Tasks of three tenants, and the dead letters of those that could not be done.
integration "tasks" {
  type = "rabbitmq"

  endpoint {
    address = var.rabbitmq
  }

  health_check {
    interval = "2s"
  }

  config {
    management_url = "http://${var.management}"
  }

  channels {
    pattern           = "grey.tasks.*"
    tenant_extraction = topic_suffix
  }
}
