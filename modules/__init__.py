"""The domains, lowest first: a module may use only those above it in this list."""

from modules.equipment.module import MODULE as EQUIPMENT
from modules.identity.module import MODULE as IDENTITY
from modules.platform.module import MODULE as PLATFORM
from modules.production.module import MODULE as PRODUCTION
from modules.projects.module import MODULE as PROJECTS
from schema.registry import register

MODULES = (IDENTITY, PLATFORM, PROJECTS, EQUIPMENT, PRODUCTION)

register(MODULES)
