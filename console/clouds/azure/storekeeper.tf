# Gives Storekeeper its access to one resource group of an Azure subscription: terraform init, then terraform apply.
# Apply it again with the file of a new version: it adds what that needs.
terraform {
  required_providers {
    azuread = {
      source  = "hashicorp/azuread"
      version = ">= 3.0"
    }
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0"
    }
    azapi = {
      source  = "Azure/azapi"
      version = ">= 2.0"
    }
  }
}

variable "subscription_id" {
  type@default_subscription_id@
}

variable "resource_group" {
  type@default_resource_group@
}

variable "location" {
  description = "Where the resource group is made, such as westeurope. Nothing: it is there already."
  type        = string
  default     = ""
}

variable "sign_in" {
  description = "secret, which the state file then holds; or federation, without one."
  type        = string@default_sign_in@

  validation {
    condition     = contains(["secret", "federation"], var.sign_in)
    error_message = "It is secret or federation."
  }
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

locals {
  scope      = "/subscriptions/${var.subscription_id}/resourceGroups/${var.resource_group}"
  federation = var.sign_in == "federation" ? 1 : 0
}

provider "azurerm" {
  subscription_id                 = var.subscription_id
  resource_provider_registrations = "none"
  resource_providers_to_register  = @namespaces@

  features {}
}

data "azuread_client_config" "current" {}

resource "azurerm_resource_group" "storekeeper" {
  count    = var.location == "" ? 0 : 1
  name     = var.resource_group
  location = var.location
}

# If it is there already: terraform import azuread_application.storekeeper /applications/OBJECT-ID
resource "azuread_application" "storekeeper" {
  display_name = "storekeeper"
}

resource "azuread_service_principal" "storekeeper" {
  client_id    = azuread_application.storekeeper.client_id
  use_existing = true
}

resource "azurerm_role_definition" "storekeeper" {
  name        = "@role@"
  scope       = local.scope
  description = "@description@"
  depends_on  = [azurerm_resource_group.storekeeper]

  permissions {
    actions = @actions@
    data_actions = @data_actions@
  }
}

resource "azurerm_role_assignment" "storekeeper" {
  scope              = local.scope
  role_definition_id = azurerm_role_definition.storekeeper.role_definition_resource_id
  principal_id       = azuread_service_principal.storekeeper.object_id
  principal_type     = "ServicePrincipal"@condition@
}

resource "azuread_application_password" "storekeeper" {
  count          = 1 - local.federation
  application_id = azuread_application.storekeeper.id
  display_name   = "storekeeper"
}

resource "azuread_application_federated_identity_credential" "storekeeper" {
  count          = local.federation
  application_id = azuread_application.storekeeper.id
  display_name   = "storekeeper"
  audiences      = ["api://AzureADTokenExchange"]
  issuer         = var.issuer
  subject        = var.subject

  lifecycle {
    precondition {
      condition     = var.issuer != "" && var.subject != ""
      error_message = "Federation takes the issuer and the subject of the console's token."
    }
  }
}
@tag@
output "tenant_id" {
  value = data.azuread_client_config.current.tenant_id
}

output "client_id" {
  value = azuread_application.storekeeper.client_id
}

output "subscription_id" {
  value = var.subscription_id
}

output "resource_group" {
  value = var.resource_group
}

# Shown by: terraform output -raw client_secret
output "client_secret" {
  value     = one(azuread_application_password.storekeeper[*].value)
  sensitive = true
}
