# What `mqdeck demo` opens: the systems that it runs inside itself. `mqdeck demo --headless` keeps them up and prints the path of a profile
# that reaches them; with those addresses this file does the same from a second terminal:
#
#   mqdeck --profile profiles/demo.hcl --var kafka=127.0.0.1:40123 --var mqtt=127.0.0.1:40124

variable "kafka" {
  default = "${env.MQDECK_DEMO_KAFKA}"
}

variable "mqtt" {
  default = "${env.MQDECK_DEMO_MQTT}"
}

integration "kafka" {
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
