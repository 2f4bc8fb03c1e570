// A tenant's settings of a transaction: the header says organization and user, who may everything everywhere in it.
const known = new Map();

export function settings(header) {
  let made = known.get(header);
  if (made === undefined) {
    const [organization, user] = header.split(":");
    made = { "app.org_id": organization, "app.user_id": user, "app.app_id": "", "app.request_id": "" };
    for (const verb of ["read", "write"])
      for (const what of ["plants", "whole_plants", "departments"]) made[`app.${verb}_${what}`] = "all";
    known.set(header, made);
  }
  return made;
}
