# What `mqdeck demo` opens: the systems that it runs inside itself. `mqdeck demo --headless` keeps them up and prints the path of a profile
# that reaches them; with that address this file does the same from a second terminal:
#
#   mqdeck --profile profiles/demo.hcl --var kafka=127.0.0.1:40123

variable "kafka" {
  default = "${env.MQDECK_DEMO_KAFKA}"
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
