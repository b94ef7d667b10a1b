# Gives Storekeeper its access to one project of Google Cloud: terraform init, then terraform apply.
# Apply it again with the file of a new version: it adds what that needs.
terraform {
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }
}

variable "project_id" {
  type@default_project_id@
}

variable "sign_in" {
  description = "key, which the state file then holds; or federation, without one."
  type        = string@default_sign_in@

  validation {
    condition     = contains(["key", "federation"], var.sign_in)
    error_message = "It is key or federation."
  }
}

variable "workload_provider" {
  description = "For federation: the provider that is there already, projects/…. Nothing: one is made."
  type        = string
  default     = "@provider@"
}

variable "issuer" {
  description = "For federation: the issuer of the console's token. Whoever runs the console knows it."
  type        = string
  default     = ""
}

variable "subject" {
  description = "For federation: the subject of the console's token."
  type        = string
  default     = ""
}

variable "audience" {
  description = "For federation: the audience of the console's token. Nothing: what Google expects by itself."
  type        = string
  default     = ""
}

locals {
  federation = var.sign_in == "federation" ? 1 : 0
  made       = var.workload_provider == "" ? local.federation : 0
  provider   = var.workload_provider == "" ? one(google_iam_workload_identity_pool_provider.storekeeper[*].name) : var.workload_provider
  trusted    = "principal://iam.googleapis.com/${split("/providers/", coalesce(local.provider, "none"))[0]}/subject/${var.subject}"
}

provider "google" {
  project = var.project_id
}

resource "google_project_service" "storekeeper" {
  for_each           = toset(@services@)
  project            = var.project_id
  service            = each.value
  disable_on_destroy = false
}

# @hint@
resource "google_service_account" "storekeeper" {
  project                      = @home@
  account_id                   = "@account_id@"
  description                  = local.federation == 1 ? "@description@" : null
  create_ignore_already_exists = true
  depends_on                   = [google_project_service.storekeeper]
}

@roles@
resource "google_service_account_key" "storekeeper" {
  count              = 1 - local.federation
  service_account_id = google_service_account.storekeeper.name
}

resource "google_iam_workload_identity_pool" "storekeeper" {
  count                     = local.made
  project                   = var.project_id
  workload_identity_pool_id = "storekeeper"
  depends_on                = [google_project_service.storekeeper]
}

resource "google_iam_workload_identity_pool_provider" "storekeeper" {
  count                              = local.made
  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.storekeeper[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "console"

  attribute_mapping = {
    "google.subject" = "assertion.sub"
  }

  oidc {
    issuer_uri        = var.issuer
    allowed_audiences = var.audience == "" ? [] : [var.audience]
  }

  lifecycle {
    precondition {
      condition     = var.issuer != "" && var.subject != ""
      error_message = "Federation takes the issuer and the subject of the console's token."
    }
  }
}

resource "google_service_account_iam_member" "storekeeper" {
  count              = var.subject == "" ? 0 : local.federation
  service_account_id = google_service_account.storekeeper.name
  role               = "roles/iam.workloadIdentityUser"
  member             = local.trusted
}
@itself@
output "project_id" {
  value = var.project_id
}

output "workload_provider" {
  value = local.provider
}

output "service_account" {
  value = google_service_account.storekeeper.email
}

# Shown by: terraform output -raw key
output "key" {
  value     = try(base64decode(one(google_service_account_key.storekeeper[*].private_key)), "")
  sensitive = true
}
