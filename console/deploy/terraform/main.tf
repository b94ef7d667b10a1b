# A backup store by pgEdge's own provider, whose API this console serves below /v1.
#
#   export PGEDGE_CLIENT_ID=skc_… PGEDGE_CLIENT_SECRET=…     # client credentials of API Tokens
#   terraform init && terraform apply -var url=https://console.example.org -var account=ID
#
# The names of resources and arguments are those of the provider's documentation (2bf357f). Nobody has run this file: it
# needs the provider from its registry.

terraform {
  required_providers {
    pgedge = {
      source = "pgEdge/pgedge"
    }
  }
}

variable "url" {
  description = "The console's address, without a path: the provider adds /v1"
  type        = string
}

variable "account" {
  description = "The ID of a linked cloud account: storekeeper cloud-accounts list"
  type        = string
}

variable "region" {
  type    = string
  default = "eu-west-1"
}

provider "pgedge" {
  base_url = var.url
}

resource "pgedge_backup_store" "orders" {
  name             = "orders"
  cloud_account_id = var.account
  region           = var.region
}

# Machines are yours: what a node is made of (instance_type, volumes, networks) is kept as you write it, and not used.
resource "pgedge_cluster" "orders" {
  name             = "orders"
  cloud_account_id = var.account
  regions          = [var.region]
  node_location    = "private"
  backup_store_ids = [pgedge_backup_store.orders.id]

  nodes = [
    {
      name          = "n1"
      region        = var.region
      instance_type = "unused"
    }
  ]

  networks = [
    {
      region         = var.region
      cidr           = "10.0.0.0/16"
      public_subnets = []
    }
  ]
}

output "bucket" {
  value = pgedge_backup_store.orders.properties["bucket_name"]
}
