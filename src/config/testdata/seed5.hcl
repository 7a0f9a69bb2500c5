integration "backend_api" {
  type = "json-rpc"
  
  endpoint {
    address = "https://api.example.com"
    path    = "/rpc"
  }
  
  config {
    version = "2.0"
    timeout = "30s"
  }
  
  auth {
    type = "bearer"
    token = "${env.API_TOKEN}"
  }
}

integration "iot_broker" {
  type = "mqtt"
  
  endpoint {
    address = "mqtt.example.com"
    port    = 8883
    tls     = true
  }
  
  config {
    client_id     = "nemo-${env.INSTANCE_ID}"
    keep_alive    = "60s"
    clean_session = true
    qos           = 1
  }
  
  auth {
    type     = "basic"
    username = "${env.MQTT_USER}"
    password = "${env.MQTT_PASS}"
  }
}

integration "redis_events" {
  type = "redis"
  
  endpoint {
    address = "redis.example.com"
    port    = 6379
  }
  
  config {
    database   = 0
    pool_size  = 10
    
    # For Redis Streams (message queue pattern)
    consumer_group = "nemo-consumers"
  }
  
  auth {
    type     = "password"
    password = "${env.REDIS_PASSWORD}"
  }
}

# RPC integration for backend API
integration "backend" {
  type = "json-rpc"
  
  endpoint {
    address = "${var.api_url}"
    tls     = true
  }
  
  auth {
    type  = "bearer"
    token = "${env.API_TOKEN}"
  }
  
  retry {
    max_attempts = 3
    backoff      = "exponential"
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
    interval = "30s"
    method   = "health.check"
  }
}

# PubSub integration for real-time events
integration "events" {
  type = "mqtt"
  
  endpoint {
    address = "mqtt.example.com"
    port    = 8883
    tls     = true
  }
  
  config {
    client_id     = "nemo-${env.INSTANCE_ID}"
    keep_alive    = "60s"
    qos           = 1
  }
  
  reconnect {
    enabled      = true
    max_attempts = -1  # Infinite
    delay        = "1s"
    max_delay    = "60s"
  }
}

# Message queue for task processing
integration "tasks" {
  type = "redis"
  
  endpoint {
    address = "redis.example.com"
  }
  
  config {
    database       = 1
    consumer_group = "nemo-workers"
  }
}

# RPC as data source
data "rpc" "user_data" {
  integration = integration.backend
  method      = "users.list"
  params      = { status = "active" }
  interval    = "5m"
}

# PubSub subscription as data source
data "subscription" "price_updates" {
  integration = integration.events
  topic       = "prices/#"
  
  transform {
    type = "jq"
    query = ".payload"
  }
}

# Action that uses RPC
action "create_order" {
  type = "rpc"
  
  config {
    integration = integration.backend
    method      = "orders.create"
    params      = { /* from trigger */ }
  }
}

# Action that publishes event
action "notify_created" {
  type = "publish"
  
  config {
    integration = integration.events
    topic       = "orders/created"
    message     = { order_id = "${trigger.result.id}" }
  }
}

# Expose Nemo as RPC server
server "nemo_api" {
  type = "json-rpc"
  
  listen {
    address = "0.0.0.0"
    port    = 8080
    tls     = true
    cert    = "${var.tls_cert}"
    key     = "${var.tls_key}"
  }
  
  # Methods exposed
  method "data.get" {
    handler = "script.api_handlers.get_data"
    auth    = required
  }
  
  method "action.execute" {
    handler = "script.api_handlers.execute_action"
    auth    = required
  }
  
  auth {
    type   = "jwt"
    secret = "${env.JWT_SECRET}"
  }
}
