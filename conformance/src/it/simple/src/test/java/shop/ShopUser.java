package shop;

import shop.api.Kettle;

/** Sees the generated types. */
record ShopUser(Kettle kettle) {}
